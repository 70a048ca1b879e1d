using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Weights in files: every type and shape, sharing pages, written whole or not at all.</summary>
[Trait("kind", "unit")]
public sealed class SafetensorsTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static Dictionary<string, Tensor> Everything()
    {
        var types = new[]
        {
            ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Int32,
            ScalarType.Int16, ScalarType.Int8, ScalarType.Byte, ScalarType.Bool,
        };
        var all = types.ToDictionary(type => $"of {type}", type => (Samples.Normal("x", 3, 5) * 20).abs().to(type));
        all["0-dim"] = tensor(2.5f);
        all["empty"] = zeros(0);
        all["empty in the middle"] = zeros(3, 0, 2);
        all["turned"] = Samples.Normal("turned", 4, 6).t();
        all["a name: \"quoted\"\n\u00e9\u8a69 {}"] = ones(1);
        return all;
    }

    [Fact]
    public void Every_type_and_shape_comes_back_as_it_was()
    {
        using var scope = NewDisposeScope();
        var all = Everything();
        SafetensorsWriter.Write(folder.At("x.safetensors"), all, new Dictionary<string, string> { ["format"] = "pt", ["note"] = "詩" });
        using var file = SafetensorsFile.Open(folder.At("x.safetensors"));
        Assert.Equal(all.Keys.Order(), file.Entries.Keys.Order());
        Assert.Equal("詩", file.Metadata["note"]);
        foreach (var (name, tensor) in all)
        {
            using var mapped = file.Map(name);
            Assert.Equal((tensor.dtype, tensor.numel()), (mapped.dtype, mapped.numel()));
            Assert.Equal(tensor.shape, mapped.shape);
            Assert.True(mapped.Equals(tensor), name);
            Assert.Equal(file.Entries[name].Length, file.Bytes(name).Length);
        }
    }

    [Fact]
    public void A_file_without_tensors_is_a_file()
    {
        SafetensorsWriter.Write(folder.At("none.safetensors"), new Dictionary<string, Tensor>());
        using var file = SafetensorsFile.Open(folder.At("none.safetensors"));
        Assert.Empty(file.Entries);
        Assert.Contains("has no tensor x", Assert.Throws<InputException>(() => file.Map("x")).Message);
    }

    [Fact]
    public void Writing_to_a_mapped_tensor_never_changes_the_file()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.At("x.safetensors"), Everything());
        var before = File.ReadAllBytes(folder.At("x.safetensors"));
        using (SafetensorsFile file = SafetensorsFile.Open(folder.At("x.safetensors")),
            other = SafetensorsFile.Open(folder.At("x.safetensors")))
        {
            using Tensor mapped = file.Map("of Float32"), beside = other.Map("of Float32");
            var kept = Samples.Floats(beside);
            mapped.fill_(7);
            Assert.All(Samples.Floats(file.Map("of Float32")), x => Assert.Equal(7f, x));
            Assert.Equal(kept, Samples.Floats(beside));
        }
        Assert.Equal(before, File.ReadAllBytes(folder.At("x.safetensors")));
    }

    [Fact]
    public void A_file_may_be_replaced_while_it_is_mapped()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.At("x.safetensors"), new Dictionary<string, Tensor> { ["x"] = ones(70000) });
        using var file = SafetensorsFile.Open(folder.At("x.safetensors"));
        using var mapped = file.Map("x");
        SafetensorsWriter.Write(folder.At("x.safetensors"), new Dictionary<string, Tensor> { ["x"] = mapped * 2 });
        Assert.Equal(70000f, mapped.sum().item<float>());
        using var after = SafetensorsFile.Open(folder.At("x.safetensors"));
        Assert.Equal(140000f, after.Map("x").sum().item<float>());
    }

    [Fact]
    public void A_digest_does_not_see_how_weights_are_cut_into_files()
    {
        using var scope = NewDisposeScope();
        var all = Everything();
        string Write(string name, Func<string, bool> chosen)
        {
            SafetensorsWriter.Write(
                folder.At(name), all.Where(pair => chosen(pair.Key)).ToDictionary(), new Dictionary<string, string> { ["shard"] = name });
            return folder.At(name);
        }
        var whole = WeightDigest.Of([Write("all", _ => true)]);
        Assert.Equal(whole, WeightDigest.Of([Write("two", name => name.Length % 2 == 0), Write("one", name => name.Length % 2 == 1)]));
        Assert.Matches("^[0-9a-f]{64}$", whole);
        Assert.NotEqual(whole, WeightDigest.Of([folder.At("two")]));
        all["0-dim"] = tensor(2.5000002f);
        Assert.NotEqual(whole, WeightDigest.Of([Write("changed", _ => true)]));
        all["0-dim"] = tensor(new[] { 2.5f });
        Assert.NotEqual(whole, WeightDigest.Of([Write("reshaped", _ => true)]));
    }

    [Fact]
    public void A_writer_that_throws_leaves_the_old_file()
    {
        folder.Write("x.txt", "old");
        var own = Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(folder.At("x.txt"), stream =>
        {
            stream.Write("half of the new"u8);
            throw new InvalidOperationException("mine");
        }));
        Assert.Equal("mine", own.Message);
        Assert.Contains(
            "untouched",
            Assert.Throws<RunFailedException>(
                () => AtomicFile.Write(folder.At("x.txt"), _ => throw new IOException("No space left on device"))).Message);
        Assert.Equal("old", File.ReadAllText(folder.At("x.txt")));
        Assert.Equal([folder.At("x.txt")], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_folder_that_cannot_be_filled_leaves_the_old_one()
    {
        folder.Write("made/old.txt", "old");
        Assert.Throws<RunFailedException>(() => AtomicFile.WriteFolder(folder.At("made"), inside =>
        {
            File.WriteAllText(Path.Combine(inside, "new.txt"), "new");
            throw new IOException("No space left on device");
        }));
        Assert.Equal([folder.At("made")], Directory.GetFileSystemEntries(folder.Path));
        Assert.Equal([folder.At("made", "old.txt")], Directory.GetFiles(folder.At("made")));
        AtomicFile.WriteFolder(folder.At("made"), inside => File.WriteAllText(Path.Combine(inside, "new.txt"), "new"));
        Assert.Equal([folder.At("made", "new.txt")], Directory.GetFiles(folder.At("made")));
    }

    [Fact]
    public void A_place_that_cannot_be_written_is_told()
    {
        folder.Write("file", "x");
        Assert.Contains(
            "cannot be written",
            Assert.Throws<RunFailedException>(() => AtomicFile.WriteText(folder.At("file", "below"), "x")).Message);
    }
}
