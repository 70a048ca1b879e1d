using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Export;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using Polymath.Text;

namespace Polymath.Tests.Peers;

/// <summary>The suite <c>gguf</c>: the tokens of the reference texts, as llama.cpp finds them with an exported tokenizer.</summary>
[Trait("kind", "parity"), Trait("suite", "gguf")]
public sealed class LlamaCppTokenizerTests(ITestOutputHelper output)
{
    // Texts that llama.cpp splits in another way, because it does not support: NFC (qwen2), spaces that a special token includes (added),
    // pieces that must not be found in written text (sp-*), a first space that replaces the added one (meta_*), line breaks removed at the
    // ends (uni_nopre).
    private static readonly Dictionary<string, int> otherwise = new()
    {
        ["qwen1"] = 2, ["qwen2"] = 2, ["added"] = 1, ["sp-llama"] = 1, ["sp-t5"] = 1, ["sp-bpeuser"] = 6, ["meta_always"] = 6,
        ["meta_first"] = 6, ["uni_nopre"] = 5,
    };

    [Fact(Explicit = true)]
    public async Task Tokens_are_those_of_llama_cpp()
    {
        var cancel = TestContext.Current.CancellationToken;
        using var peer = new LlamaCpp();
        var folders =
            new[] { "tokenizers", "tokenizer-kinds", "tokenizer-files" }.SelectMany(kind => Directory.GetDirectories(TextFixtures.At(kind)))
                .Where(folder => File.Exists(Path.Combine(folder, "cases.json"))).Order(StringComparer.Ordinal).ToList();
        var faults = new List<string>();
        var exported = new HashSet<string>();
        foreach (var folder in folders)
        {
            var place = Path.Combine(Path.GetFileName(Path.GetDirectoryName(folder))!, Path.GetFileName(folder));
            if (Write(folder, Path.Combine(peer.Folder, "model.gguf")) is { } refusal)
            {
                output.WriteLine($"{place,-40} refused: {refusal}");
                continue;
            }
            var cases = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(folder, "cases.json"), cancel))!["cases"]!
                .AsArray().Where(item => item!["ids_plain"] is not null && item["pair"] is null).ToList();
            var answers = await peer.Ask(
                "model.gguf",
                "/tokenize",
                cases.Select(item => new JsonObject { ["content"] = item!["text"]!.ToString(), ["parse_special"] = true }),
                cancel);
            var wrong = cases.Zip(answers)
                .Where(pair => pair.First!["ids_plain"]!.ToJsonString() != pair.Second["tokens"]!.ToJsonString()).ToList();
            output.WriteLine($"{place,-40} {cases.Count - wrong.Count} of {cases.Count} texts the same");
            exported.Add(Path.GetFileName(folder));
            if (wrong.Count != otherwise.GetValueOrDefault(Path.GetFileName(folder))) faults.Add(place);
            foreach (var (first, second) in wrong.Take(6))
                output.WriteLine($"    {first!["text"]!.ToJsonString()}: {first["ids_plain"]!.ToJsonString()} there "
                    + $"{second["tokens"]!.ToJsonString()}");
        }
        Assert.Empty(faults);
        Assert.Superset(
            new HashSet<string> { "gpt2", "llama2", "llama3", "qwen", "bpe_bloom", "bpe_gpt4", "bpe_gpt4o", "glm4", "gemma", "t5" },
            exported);
    }

    private static string? Write(string folder, string file)
    {
        try
        {
            var tokenizer = Tokenizer.Load(folder);
            var configuration = ModelFolder.Configuration(TextFixtures.At("models", "llama"));
            configuration["vocab_size"] = tokenizer.VocabularySize;
            using var model = ModelFolder.New((JsonObject)JsonNode.Parse(configuration.ToJsonString())!, 1);
            var writer = new GgufWriter();
            new GgufModel(model).AddTo(writer, BlockType.F32, "case");
            new GgufTokenizer(folder).AddTo(writer, model.Sizes.VocabularySize, []);
            writer.Write(file);
            return null;
        }
        catch (InputException e)
        {
            return e.Message;
        }
    }
}
