using System.IO.Compression;
using System.Text;
using CsCheck;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using Polymath.Training.Evaluation;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>PyTorch's own files: every type and view as PyTorch wrote it, and nothing but tensors from any pickle.</summary>
[Trait("kind", "unit")]
public sealed class PickleTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static string At(string name) => TextFixtures.At("own", "pickles", name);

    [Theory]
    [InlineData("zip.bin")]
    [InlineData("legacy.bin")]
    [InlineData("wrapped.pt")]
    public void Every_type_and_view_is_what_PyTorch_saved(string name)
    {
        using var scope = NewDisposeScope();
        using WeightFile file = WeightFile.OpenAny(At(name)), same = WeightFile.OpenAny(At("same.safetensors"));
        Assert.Equal(same.Entries.Keys.Order(), file.Entries.Keys.Order());
        foreach (var key in same.Entries.Keys)
        {
            Tensor expected = same.Map(key), actual = file.Map(key);
            Assert.Equal((expected.dtype, string.Join(",", expected.shape)), (actual.dtype, string.Join(",", actual.shape)));
            Assert.True(expected.Equals(actual), key);
        }
        Assert.Equal(WeightDigest.Of([At("same.safetensors")]), WeightDigest.Of([At(name)]));
        Assert.Throws<InputException>(() => file.Bytes("turned").Length);
    }

    [Fact]
    public void Shared_storages_share_memory_and_writing_never_reaches_the_file()
    {
        using var scope = NewDisposeScope();
        var before = File.ReadAllBytes(At("zip.bin"));
        using (var file = PickledFile.Open(At("zip.bin")))
        {
            file.Map("tied.a").fill_(7);
            Assert.All(Samples.Floats(file.Map("turned")), x => Assert.Equal(7f, x));
        }
        Assert.Equal(before, File.ReadAllBytes(At("zip.bin")));
    }

    [Fact]
    public void Floats_of_eight_bits_become_the_numbers_PyTorch_makes_of_them()
    {
        using var scope = NewDisposeScope();
        using var wide = WeightFile.OpenAny(At("eights-wide.safetensors"));
        foreach (var name in new[] { "eights.safetensors", "eights.bin" })
        {
            using var file = WeightFile.OpenAny(At(name));
            foreach (var key in new[] { "e4m3", "e5m2" })
                Assert.Equal(Samples.Floats(wide.Map(key)), Samples.Floats(file.Map(key)));
        }
        Assert.Equal(WeightDigest.Of([At("eights.safetensors")]), WeightDigest.Of([At("eights.bin")]));
    }

    [Fact]
    public void A_state_dict_and_a_newer_protocol_are_read()
    {
        using var state = WeightFile.OpenAny(At("metadata.bin"));
        Assert.Equal(["0.bias", "0.weight"], state.Entries.Keys.Order());
        using var newer = WeightFile.OpenAny(At("protocol4.pt"));
        using var mapped = newer.Map("a");
        Assert.Equal([0f, 1, 2, 3], Samples.Floats(mapped));
    }

    [Fact]
    public void A_model_in_shards_opens_like_one_in_safetensors()
    {
        var model = TextFixtures.At("own", "models", "gpt2-scaled-relu");
        foreach (var file in Directory.GetFiles(TextFixtures.At("own", "pickles"), "pytorch_model*"))
            File.Copy(file, folder.At(Path.GetFileName(file)));
        foreach (var name in new[] { "config.json", "reference.safetensors" }) File.Copy(Path.Combine(model, name), folder.At(name));
        Assert.All(ReferenceCheck.Run(folder.Path, null, tolerance: 2e-4), line => Assert.True(line.Passed, $"{line}"));
        using (var opened = ModelFolder.Open(folder.Path)) ModelFolder.Save(opened, folder.At("again"));
        Assert.Equal(ModelFolder.Hash(model), ModelFolder.Hash(folder.At("again")));
        File.Delete(folder.At("pytorch_model-00002-of-00002.bin"));
        Assert.Contains("cannot be read", Assert.Throws<InputException>(() => ModelFolder.Open(folder.Path)).Message);
    }

    [Fact]
    public void A_file_of_trained_weights_alone_becomes_an_adapter()
    {
        var own = TextFixtures.At("adapters", "lora");
        using (var model = ModelFolder.Open(TextFixtures.At("models", "llama")))
        using (var deltas = DeltaSet.Import(
            model, At("lora.pt"), AdapterConfiguration.Read(Path.Combine(own, "adapter_config.json")).Number("lora_alpha", 8)))
            deltas.Save(folder.Path);
        Assert.Equal(
            WeightDigest.Of([Path.Combine(own, "adapter_model.safetensors")]), WeightDigest.Of([folder.At("adapter_model.safetensors")]));
        File.Copy(Path.Combine(own, "reference.safetensors"), folder.At("reference.safetensors"));
        Assert.All(
            ReferenceCheck.Run(TextFixtures.At("models", "llama"), folder.Path, tolerance: 2e-4),
            line => Assert.True(line.Passed, $"{line}"));
        // PEFT's older files of PyTorch's own are read, too.
        File.Delete(folder.At("adapter_model.safetensors"));
        File.Copy(At("adapter_model.bin"), folder.At("adapter_model.bin"));
        Assert.All(
            ReferenceCheck.Run(TextFixtures.At("models", "llama"), folder.Path, tolerance: 2e-4),
            line => Assert.True(line.Passed, $"{line}"));
        using var other = ModelFolder.Open(TextFixtures.At("models", "gpt2"));
        Assert.Contains("match none", Assert.Throws<InputException>(() => DeltaSet.Import(other, At("lora.pt"), 8)).Message);
        Assert.Contains("no weights named", Assert.Throws<InputException>(() => DeltaSet.Import(other, At("zip.bin"), 8)).Message);
    }

    [Fact]
    public void A_whole_module_is_refused_by_name() => Assert.Contains(
        "'torch.nn.modules.container.Sequential'",
        Assert.Throws<InputException>(() => PickledFile.Open(At("module.pt"))).Message);

    private string Zip(params (string Name, byte[] Bytes)[] members)
    {
        using var memory = new MemoryStream();
        using (var archive = new ZipArchive(memory, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, bytes) in members)
            {
                using var entry = archive.CreateEntry(name, CompressionLevel.NoCompression).Open();
                entry.Write(bytes);
            }
        }
        File.WriteAllBytes(folder.At("x.bin"), memory.ToArray());
        return folder.At("x.bin");
    }

    private static byte[] Raw(string text) => Encoding.Latin1.GetBytes(text);

    private string FaultOf(string pickle, int storage = 16) => Fault(Zip(("x/data.pkl", Raw(pickle)), ("x/data/0", new byte[storage])));

    private static string Fault(string path) => Assert.Throws<InputException>(() => PickledFile.Open(path).Dispose()).Message;

    // A dictionary {'a': tensor} as a pickle of the given storage and view.
    private static string Tensor(
        string count,
        string offset,
        string shape,
        string strides,
        string type = "FloatStorage",
        string key = "0") =>
            $"\u0080\u0002}}U\u0001actorch._utils\n_rebuild_tensor_v2\n((U\u0007storagectorch\n{type}\nU\u0001{key}U\u0003cpu"
                + $"{count}tQ{offset}({shape}t({strides}t\u0089}}tRs.";

    [Theory]
    [InlineData("cos\nsystem\n(U\u0002idtR.", "'os.system'")]
    [InlineData("cbuiltins\neval\n(U\u00011tR.", "'builtins.eval'")]
    [InlineData("c__builtin__\nexec\n.", "'__builtin__.exec'")]
    [InlineData("ctorch.storage\n_load_from_bytes\n.", "'torch.storage._load_from_bytes'")]
    [InlineData("ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", "__globals__")]
    [InlineData("\u008c\u0002os\u008c\u0006system\u0093.", "'os.system'")]
    [InlineData("ccollections\nOrderedDict\n(cos\nsystem\nU\u0002idtR.", "'os.system'")]
    [InlineData("ccollections\nOrderedDict\n(U\u0001atR.", "wrong arguments")]
    [InlineData("(U\u0002idios\nsystem\n.", "operation 0x69")]
    [InlineData("}N\u0081.", "operation 0x81")]
    [InlineData("\u0082\u0001.", "operation 0x82")]
    [InlineData("]}b.", "sets attributes")]
    [InlineData("Nq\u0001h\u0001Rh\u0001.", "broken")]
    [InlineData("h\u0005.", "broken")]
    [InlineData("t.", "broken")]
    [InlineData("", "broken")]
    [InlineData("X\u00ff\u00ff\u00ff\u00ffa.", "broken")]
    [InlineData("\u008a\u00ff1.", "broken")]
    [InlineData("N.", "no dictionary")]
    [InlineData("}.", "empty")]
    [InlineData("}U\u0001aNs.", "holds no tensors, only a")]
    [InlineData("(U\u0005otherK\u0001tQ.", "not a storage")]
    public void A_hostile_pickle_is_refused_by_name(string pickle, string what) => Assert.Contains(what, FaultOf(pickle));

    [Theory]
    [InlineData("K\u0004", "K\u0000", "K\u0002K\u0002", "K\u0002K\u0001", null)]
    [InlineData("K\u0005", "K\u0000", "K\u0002K\u0002", "K\u0002K\u0001", "claims 5 elements")]
    [InlineData("J\u00ff\u00ff\u00ff\u00ff", "K\u0000", "K\u0002", "K\u0001", "not a storage")]
    [InlineData("K\u0004", "K\u0001", "K\u0002K\u0002", "K\u0002K\u0001", "beyond its storage")]
    [InlineData("K\u0004", "J\u00ff\u00ff\u00ff\u00ff", "K\u0002", "K\u0001", "impossible")]
    [InlineData("K\u0004", "K\u0000", "K\u0002", "J\u00ff\u00ff\u00ff\u00ff", "impossible")]
    [InlineData("K\u0004", "K\u0000", "J\u00ff\u00ff\u00ff\u007fK\u0002", "K\u0000K\u0001", "overlaps itself")]
    [InlineData("K\u0004", "K\u0000", "K\u0002", "\u008a\u0008\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f", "beyond its storage")]
    [InlineData("K\u0004", "K\u0000", "K\u0002K\u0002", "K\u0001", "impossible")]
    [InlineData(
        "K\u0004", "K\u0000", "\u008a\u0008\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0040K\u0008", "K\u0000K\u0000", "overlaps itself")]
    public void A_storage_or_a_view_that_lies_is_told(
        string count,
        string offset,
        string shape,
        string strides,
        string? what)
    {
        var pickle = Tensor(count, offset, shape, strides);
        if (what is not null) Assert.Contains(what, FaultOf(pickle));
        else PickledFile.Open(Zip(("x/data.pkl", Raw(pickle)), ("x/data/0", new byte[16]))).Dispose();
    }

    [Fact]
    public void A_storage_that_is_missing_or_strange_is_told()
    {
        Assert.Contains("the storage 9 of a is missing", FaultOf(Tensor("K\u0004", "K\u0000", "K\u0004", "K\u0001", key: "9")));
        Assert.Contains("'torch.QInt8Storage'", FaultOf(Tensor("K\u0004", "K\u0000", "K\u0004", "K\u0001", type: "QInt8Storage")));
    }

    [Fact]
    public void An_archive_that_lies_is_told()
    {
        var good = Raw(Tensor("K\u0004", "K\u0000", "K\u0004", "K\u0001"));
        Assert.Contains("is there twice", Fault(Zip(("x/data.pkl", good), ("x/data/0", new byte[16]), ("x/data/0", new byte[16]))));
        Assert.Contains("without the one data.pkl", Fault(Zip(("../../data.pkl", good), ("x/data/0", new byte[16]))));
        Assert.Contains("TorchScript", Fault(Zip(("x/data.pkl", good), ("x/constants.pkl", good))));
        Assert.Contains("high byte first", Fault(Zip(("x/data.pkl", good), ("x/data/0", new byte[16]), ("x/byteorder", Raw("big")))));
        // A name such as '../x' is only a name: nothing is written, and no tensor with it is found.
        Assert.Contains("storage 0 of a is missing", Fault(Zip(("x/data.pkl", good), ("x/data/../../../../tmp/0", new byte[16]))));
        using (var archive = new ZipArchive(File.Create(folder.At("packed.bin")), ZipArchiveMode.Create))
        {
            using var entry = archive.CreateEntry("x/data.pkl", CompressionLevel.Optimal).Open();
            entry.Write(new byte[9000]);
        }
        Assert.Contains("is compressed", Fault(folder.At("packed.bin")));
    }

    [Theory]
    [InlineData("]q\0h\0a.", "more than 8 containers deep")]
    [InlineData("}q\0K\u0001h\0s.", "more than 8 containers deep")]
    [InlineData("}(K\u0001K\u0002K\u0001K\u0003u.", "1 is there twice")]
    [InlineData("}]K\u0001s.", "neither a short text nor a whole number")]
    [InlineData("cbuiltins\neval\n(U\u00011tR.", "'builtins.eval'")]
    public void Nested_containers_are_walked_within_bounds(string pickle, string fault)
    {
        string Nested(string text) => Assert.Throws<InputException>(
            () => PickledFile.OpenNested(Zip(("x/data.pkl", Raw(text)), ("x/data/0", new byte[16]))).Dispose()).Message;
        Assert.Contains(fault, Nested(pickle), StringComparison.Ordinal);
        // Six lists of a hundred times the one before: 10^12 values in a few bytes.
        Assert.Contains("more than 1,048,576 values", Nested("]q\0"
            + string.Concat(Enumerable.Range(0, 6).Select(i => $"({string.Concat(Enumerable.Repeat($"h{(char)i}", 100))}lq{(char)(i + 1)}"))
            + "."), StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_that_refers_to_itself_a_million_times_is_only_a_list()
    {
        // Each list holds the one before it twice: written out, it would be 2^40 items.
        Assert.Contains("no dictionary", FaultOf(
            "]q\0" + string.Concat(Enumerable.Range(0, 40).Select(i => $"(h{(char)i}h{(char)i}lq{(char)(i + 1)}")) + "."));
    }

    [Theory]
    [InlineData("zip.bin")]
    [InlineData("legacy.bin")]
    public void A_file_cut_off_or_changed_anywhere_loads_or_is_told(string name)
    {
        var whole = File.ReadAllBytes(At(name));
        for (var length = 0; length < whole.Length; length += 7)
        {
            File.WriteAllBytes(folder.At("x.bin"), whole[..length]);
            Fault(folder.At("x.bin"));
        }
        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte).Array[1, 4].Sample(changes =>
        {
            var bytes = whole.ToArray();
            foreach (var (at, value) in changes) bytes[at] = value;
            File.WriteAllBytes(folder.At("x.bin"), bytes);
            try
            {
                using var scope = NewDisposeScope();
                using var file = WeightFile.OpenAny(folder.At("x.bin"));
                foreach (var key in file.Entries.Keys) file.Map(key).clone();
            }
            catch (InputException fault)
            {
                Assert.Contains(folder.At("x.bin"), fault.Message);
            }
        }, iter: 2000, threads: 1);
    }
}
