using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>
/// The layouts that families of models were published with, for folders that bring no chat template of their own: the one place that says
/// which shipped template belongs to which <c>model_type</c>.
/// </summary>
public static class FamilyTemplates
{
    private const string Glm = "chatglm";

    // What GLM's kin begin and end an answer with. The published settings of the first one name another end than its training code.
    private static readonly string[] starts = ["<sop>", "sop"], ends = ["<eop>", "</s>", "<|endoftext|>"];

    // Of several templates of a family the first one whose special tokens the tokenizer has. A family without a line here has no published
    // layout of its own (gpt2, gpt_neox, opt, bloom, t5), or several (llama), or one that is not shipped.
    private static readonly (string Family, string Template, string[] Marks)[] published =
    [
        (Glm, "glm4", []),
        (Glm, "chatglm3", []),
        (Glm, "chatglm2", []),
        (Glm, "chatglm", []),
        ("glm", "glm4", []),
        ("glm4", "glm4", []),
        ("gemma", "gemma", ["<start_of_turn>", "<end_of_turn>"]),
        ("gemma2", "gemma", ["<start_of_turn>", "<end_of_turn>"]),
        ("gemma3_text", "gemma", ["<start_of_turn>", "<end_of_turn>"]),
        ("phi3", "phi", ["<|user|>", "<|assistant|>", "<|end|>"]),
        ("qwen2", "qwen", ["<|im_start|>", "<|im_end|>"]),
        ("qwen2_moe", "qwen", ["<|im_start|>", "<|im_end|>"]),
        ("qwen3", "chatml", ["<|im_start|>", "<|im_end|>"]),
        ("qwen3_moe", "chatml", ["<|im_start|>", "<|im_end|>"]),
        ("qwen3_next", "chatml", ["<|im_start|>", "<|im_end|>"]),
        ("mistral", "mistral", ["<s>", "</s>"]),
        ("mixtral", "mistral", ["<s>", "</s>"]),
    ];

    /// <summary>How documents and prompts are laid out for a model of ChatGLM-6B's kind that is made here.</summary>
    public static ChatTemplate GlmWords { get; } = ChatTemplate.Words("<sop>", "<eop>") with { Before = "[gMASK]" };

    /// <summary>The families and their templates, one line each.</summary>
    public static IReadOnlyList<(string Family, string Template)> All { get; } =
        [.. published.Select(line => (line.Family, line.Template))];

    /// <summary>The shipped template that a model's family was published with.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="tokenizer">The model's tokenizer, which must have the template's marks.</param>
    /// <returns>Its name; null where there is none.</returns>
    public static string? Of(string folder, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (FamilyOf(folder) is not { } family)
            return null;
        foreach (var (name, template, marks) in published)
        {
            if (name == family && marks.Concat(NamedTemplates.Needs(template)).All(tokenizer.SpecialTokens.ContainsKey))
                return template;
        }
        return null;
    }

    /// <summary>
    /// How documents and prompts are laid out: in plain words between the model's first and last token. GLM's kin read a text behind
    /// <c>[gMASK]</c> and the token that begins an answer (Du et al. 2022).
    /// </summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="begin">The model's first token, or empty.</param>
    /// <param name="end">The model's last token, or empty.</param>
    internal static ChatTemplate Words(string folder, Tokenizer tokenizer, string begin, string end)
    {
        var special = tokenizer.SpecialTokens;
        var start = starts.FirstOrDefault(special.ContainsKey);
        if (FamilyOf(folder) is not (Glm or "glm" or "glm4") || start is null || !special.ContainsKey("[gMASK]"))
            return ChatTemplate.Words(begin, end);
        var last = ends.FirstOrDefault(special.ContainsKey) ?? end;
        return ChatTemplate.Words(start, last) with { Before = "[gMASK]" };
    }

    private static string? FamilyOf(string folder)
    {
        var file = Path.Combine(folder, "config.json");
        if (!File.Exists(file))
            return null;
        try
        {
            return (JsonNode.Parse(File.ReadAllBytes(file)) as JsonObject)?["model_type"]?.ToString();
        }
        catch (JsonException)
        {
            // The fault of the file is reported when the model is opened.
            return null;
        }
    }
}
