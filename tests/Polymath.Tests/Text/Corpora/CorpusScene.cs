using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Corpora;

/// <summary>A folder with files, and the corpora of a recipe over them.</summary>
internal sealed class CorpusScene : IDisposable
{
    public ScratchFolder Folder { get; } = new();

    public CorpusScene File(string name, string text)
    {
        Folder.Write(name, text);
        return this;
    }

    public CorpusScene Bytes(string name, byte[] bytes)
    {
        System.IO.File.WriteAllBytes(Folder.At(name), bytes);
        return this;
    }

    public Polymath.Text.Corpora Open(
        IReadOnlyDictionary<string, DataSpec> data, IReadOnlyDictionary<string, TableSpec>? tables = null, CorpusProgress? progress = null)
        => new(
            new Recipe(
                "test",
                new PretrainedSpec("none"),
                data,
                [],
                Tables: tables),
            Folder.Path,
            new PackageCache(Folder.At("cache"), "no-such-client"),
            progress);

    public IReadOnlyList<Row> Rows(DataSpec spec) => Open(new Dictionary<string, DataSpec> { ["d"] = spec }).Rows("d");

    public string Refusal(DataSpec spec) => Assert.Throws<InputException>(() => Rows(spec)).Message;

    public void Dispose() => Folder.Dispose();
}
