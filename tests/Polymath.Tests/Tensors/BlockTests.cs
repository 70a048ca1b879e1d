using Polymath.Tensors.Files;
using Polymath.Tests.Text;

namespace Polymath.Tests.Tensors;

/// <summary>Blocks of few bits: ggml's own bytes, and how far the numbers may move.</summary>
[Trait("kind", "parity")]
public sealed class BlockTests
{
    public static TheoryData<string> Quantised => ["q8_0", "q4_0", "q4_k"];

    private static BlockType Of(string name) => BlockType.All.Single(type => type.Name == name);

    private static byte[] Blocks(BlockType type, ReadOnlySpan<float> x)
    {
        var bytes = new byte[x.Length / type.Elements * type.Bytes];
        for (var i = 0; i < x.Length / type.Elements; i++)
            type.Write(x.Slice(i * type.Elements, type.Elements), bytes.AsSpan(i * type.Bytes, type.Bytes));
        return bytes;
    }

    [Theory]
    [MemberData(nameof(Quantised))]
    public void The_blocks_are_those_of_ggml(string name)
    {
        using var file = SafetensorsFile.Open(TextFixtures.At("own", "blocks", "blocks.safetensors"));
        using var x = file.Map("x");
        var made = Blocks(Of(name), Samples.Floats(x));
        Assert.Equal(Convert.ToHexString(file.Bytes(name)), Convert.ToHexString(made));
        using var back = file.Map(name + ".back");
        Assert.Equal(Samples.Floats(back), BlockReader.Read(name, file.Bytes(name).ToArray()));
    }

    [Theory]
    [InlineData("q8_0", 0.5 / 127)]
    [InlineData("q4_0", 1.02 / 8)]
    [InlineData("q4_k", 1.1 / 15)]
    public void No_number_moves_further_than_its_bits_allow(string name, double share)
    {
        var type = Of(name);
        var x = Samples.Numbers(name, 64 * 256).Select(x => (float)x).ToArray();
        var back = BlockReader.Read(name, Blocks(type, x));
        for (var at = 0; at < x.Length; at += 32)
        {
            var group = x[at..(at + 32)];
            var span = name == "q4_k" ? Math.Max(0, group.Max()) - Math.Min(0, group.Min()) : group.Max(Math.Abs);
            for (var i = 0; i < 32; i++)
                Assert.True(
                    Math.Abs(group[i] - back[at + i]) <= span * (share + 0.001),
                    $"{group[i]} became {back[at + i]} in a group that spans {span}");
        }
    }

    [Fact]
    public void Blocks_worked_out_by_hand()
    {
        // d = 127/127 = 1, halves away from zero.
        var x = new float[32];
        (x[0], x[1], x[2], x[3]) = (-127, 2.5f, -2.5f, 0.4f);
        Assert.Equal([0x00, 0x3c, 0x81, 3, 0xfd, 0], Blocks(Of("q8_0"), x)[..6]);
        // d = −8/−8 = 1: −8 becomes 0, 0 becomes 8, 7 becomes 15; elements i and i + 16 share a byte.
        var y = new float[32];
        (y[0], y[16], y[1]) = (-8, 7, 3);
        Assert.Equal([0x00, 0x3c, 0xf0, 0x8b, 0x88], Blocks(Of("q4_0"), y)[..5]);
        Assert.Equal([0x80, 0x3f], Blocks(Of("bf16"), [1f]));
        Assert.Equal([0x80, 0x3f], Blocks(Of("bf16"), [1.00390625f]));
        Assert.Equal([0x82, 0x3f], Blocks(Of("bf16"), [1.01171875f]));
        Assert.Equal([0x00, 0x3c], Blocks(Of("f16"), [1f]));
    }
}
