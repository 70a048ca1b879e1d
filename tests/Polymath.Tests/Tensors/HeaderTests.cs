using System.Buffers.Binary;
using System.Text;
using CsCheck;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Files with wrong headers: no value of a header is trusted, and only input faults are thrown.</summary>
[Trait("kind", "unit")]
public sealed class HeaderTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static byte[] Framed(string header, int data, long? claimed = null)
    {
        var text = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + text.Length + data];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, claimed ?? text.Length);
        text.CopyTo(bytes, 8);
        return bytes;
    }

    private string Fault(byte[] bytes)
    {
        File.WriteAllBytes(folder.At("x"), bytes);
        return Assert.Throws<InputException>(() => SafetensorsFile.Open(folder.At("x")).Dispose()).Message;
    }

    private static string Entry(
        string name,
        string shape,
        int from,
        int to,
        string type = "F32") => $"\"{name}\": {{\"dtype\": \"{type}\", \"shape\": [{shape}], \"data_offsets\": [{from}, {to}]}}";

    public static TheoryData<string, int, string> Lies => new()
    {
        { "{" + Entry("a", "2", 0, 8) + "," + Entry("b", "2", 4, 12) + "}", 12, "b starts at 4, but 8 was expected" },
        { "{" + Entry("a", "2", 0, 8) + "," + Entry("b", "2", 0, 8) + "}", 8, "b starts at 0, but 8 was expected" },
        { "{" + Entry("a", "2", 4, 12) + "}", 12, "a starts at 4, but 0 was expected" },
        { "{" + Entry("a", "2", 0, 8) + "," + Entry("b", "1", 12, 16) + "}", 16, "b starts at 12" },
        { "{" + Entry("a", "2", 0, 8) + "}", 12, "its tensors end at 8, the data at 12" },
        { "{" + Entry("a", "2", 0, 8) + "}", 7, "the file has 7 bytes" },
        { "{" + Entry("a", "-2", 0, 8) + "}", 8, "has the shape [-2]" },
        { "{" + Entry("a", "-1,-2", 0, 8) + "}", 8, "has the shape [-1, -2]" },
        { "{" + Entry("a", "3", 0, 8) + "}", 8, "takes 12 bytes" },
        { "{" + Entry("a", "4611686018427387904,4", 0, 0) + "}", 0, "bytes, the header gives it 0" },
        { "{" + Entry("a", "9223372036854775807,9223372036854775807,9223372036854775807", 0, 8) + "}", 8, "the header gives it 8" },
        { "{" + Entry("a", "2", 0, 8) + "," + Entry("a", "2", 0, 8) + "}", 8, "is there twice" },
        { "{" + Entry("a", "2", 8, 0) + "}", 8, "lies at [8, 0]" },
        { "{" + Entry("a", "2", -8, 0) + "}", 8, "lies at [-8, 0]" },
        { "{" + Entry("a", "2", 0, 8, "F8") + "}", 8, "of the type 'F8'" },
        { "{" + Entry("a", "2.5", 0, 8) + "}", 8, "not the JSON it should be" },
        { "{" + Entry("a", "99999999999999999999", 0, 8) + "}", 8, "not the JSON it should be" },
        { "{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 4, 8]}}", 8, "lies at [0, 4, 8]" },
        { "{\"a\": {\"shape\": [2], \"data_offsets\": [0, 8]}}", 8, "a has no dtype" },
        { "{\"a\": 1}", 0, "not the JSON it should be" },
        { "{\"__metadata__\": 1}", 0, "not the JSON it should be" },
        { "{\"__metadata__\": {\"x\": 1}}", 0, "not the JSON it should be" },
        { $"{{\"a\": {{\"dtype\": \"F32\", \"shape\": [{string.Join(",", Enumerable.Repeat(1, 1_000_000))}], \"data_offsets\": [0, "
            + "4]}}", 4, "1000000 dimensions" },
        { "[]", 0, "not a JSON object" },
        { "", 0, "not the JSON it should be" },
        { "{\"a\": ", 0, "not the JSON it should be" },
        { new string('[', 5000), 0, "not the JSON it should be" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void A_lie_in_the_header_is_told(string header, int data, string what)
    {
        var message = Fault(Framed(header, data));
        Assert.Contains(what, message);
        Assert.Contains("not a complete safetensors file", message);
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(100_000_001)]
    [InlineData(3)]
    public void A_header_longer_than_the_file_is_told(long claimed) =>
        Assert.Contains("the header claims", Fault(Framed("{}", 0, claimed)));

    [Fact]
    public void A_file_cut_off_anywhere_is_told()
    {
        var whole = Sound();
        for (var length = 0; length < whole.Length; length++)
            Fault(whole[..length]);
        Fault([.. whole, 0]);
        Assert.Contains(
            "cannot be read",
            Assert.Throws<InputException>(() => SafetensorsFile.Open(folder.At("missing")).Dispose()).Message);
        Assert.Throws<InputException>(() => SafetensorsFile.Open(folder.Path).Dispose());
    }

    [Fact]
    public void Random_bytes_load_or_are_told() =>
        Gen.Byte.Array[0, 200].Sample(
            bytes => Loads(bytes.Length >= 8 ? [(byte)(bytes[0] % 200), 0, 0, 0, 0, 0, 0, 0, .. bytes[8..]] : bytes),
            iter: 1500,
            threads: 1);

    [Fact]
    public void A_file_with_changed_bytes_loads_or_is_told()
    {
        var whole = Sound();
        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.OneOf(Gen.Byte, Gen.OneOf("0129-,[]{}\":. "u8.ToArray()))).Array[1, 4]
            .Sample(changes =>
            {
                var bytes = whole.ToArray();
                foreach (var (at, value) in changes)
                    bytes[at] = value;
                Loads(bytes);
            }, iter: 2500, threads: 1);
    }

    private void Loads(byte[] bytes)
    {
        File.WriteAllBytes(folder.At("x"), bytes);
        try
        {
            using var file = SafetensorsFile.Open(folder.At("x"));
            foreach (var name in file.Entries.Keys)
            {
                using var mapped = file.Map(name);
                Assert.Equal(file.Entries[name].Length, mapped.numel() * mapped.element_size());
            }
        }
        catch (InputException fault)
        {
            Assert.Contains(folder.At("x"), fault.Message);
        }
    }

    private byte[] Sound()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.At("sound"), new Dictionary<string, Tensor>
        {
            ["a"] = ones(2, 3), ["b"] = zeros(2, 0), ["c"] = tensor(new long[] { 1, 2 }), ["d"] = tensor(true),
        });
        return File.ReadAllBytes(folder.At("sound"));
    }
}
