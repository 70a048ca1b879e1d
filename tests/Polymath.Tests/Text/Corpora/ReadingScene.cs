using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Corpora;

/// <summary>A source in a preview: what is learned of each row, and what is reported.</summary>
internal static class ReadingScene
{
    public static string At(string file) => TextFixtures.At("reading", file);

    public static FilesSpec Source(string file) => new([file], Shape: DataShape.Auto);

    public static Polymath.Text.Corpora Corpora(FilesSpec spec, string folder = ".", int seed = 0) => new(
        new Recipe("r", new PretrainedSpec("."), new Dictionary<string, DataSpec> { ["d"] = spec }, []) { Seed = seed },
        folder,
        new PackageCache(Path.Combine(Path.GetTempPath(), "polymath-no-packages")));

    public static DataPreview Preview(FilesSpec spec, string template = "chatml", string folder = ".")
    {
        var corpora = Corpora(spec, folder);
        var rows = corpora.Rows("d");
        var contract = new TextContract(ChatTemplate.Own, []).With(template);
        var tokenizer = CharacterTokenizerTrainer.Train(
            DataPreview.Texts(rows, contract), 1, [.. ChatTemplate.Specials, "<|im_start|>", "<|im_end|>"]);
        return DataPreview.Of(
            rows,
            contract,
            tokenizer,
            int.MaxValue,
            int.MaxValue,
            corpora.Report("d"));
    }

    /// <summary>The learned parts of the rows, separated by bars; slashes separate rows.</summary>
    public static string Learned(DataPreview preview) => string.Join(" / ", preview.Shown.Select(row => string.Join('|', Parts(row))));

    /// <summary>Everything that is read of the rows.</summary>
    public static string All(DataPreview preview) => string.Concat(preview.Shown.SelectMany(row => row.Tokens).Select(token => token.Text));

    public static string Fault(FilesSpec spec, string template = "chatml") =>
        Assert.Throws<InputException>(() => Preview(spec, template)).Message;

    private static List<string> Parts(PreviewRow row)
    {
        var parts = new List<string>();
        var open = false;
        foreach (var token in row.Tokens)
        {
            var trained = token.State == "trained";
            if (trained && open)
                parts[^1] += token.Text;
            else if (trained)
                parts.Add(token.Text);
            open = trained;
        }
        return parts;
    }
}
