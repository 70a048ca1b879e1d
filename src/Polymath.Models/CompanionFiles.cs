namespace Polymath.Models;

/// <summary>What lies beside the weights in a model's folder and belongs to it: the tokenizer, the layout of conversations, how to generate.</summary>
public static class CompanionFiles
{
    static readonly string[] names =
    [
        "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
        "ice_text.model", "sentencepiece.bpe.model", "chat_template.jinja", "chat_template.json", "polymath.json",
    ];

    /// <summary>Copies the files that are there.</summary>
    /// <param name="from">The model's folder.</param>
    /// <param name="to">The new folder.</param>
    public static void Copy(string from, string to)
    {
        foreach (var file in names.Select(name => Path.Combine(from, name)).Where(File.Exists).Concat(Directory.GetFiles(from, "*.tiktoken")).Concat(Directory.GetFiles(from, "conversion-*.json"))) File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
        var templates = Path.Combine(from, "additional_chat_templates");
        if (!Directory.Exists(templates)) return;
        var inside = Directory.CreateDirectory(Path.Combine(to, "additional_chat_templates")).FullName;
        foreach (var file in Directory.GetFiles(templates, "*.jinja")) File.Copy(file, Path.Combine(inside, Path.GetFileName(file)), overwrite: true);
    }
}
