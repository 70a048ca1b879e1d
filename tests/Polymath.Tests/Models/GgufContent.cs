using System.Text;
using Polymath.Tests.Tensors;

namespace Polymath.Tests.Models;

/// <summary>A GGUF file, read by the tests' own small reader, which was written only from the format's description.</summary>
internal sealed record GgufContent(
    Dictionary<string, object> Values, Dictionary<string, (long[] Shape, int Type, long Offset)> Tensors, long DataStart, byte[] Bytes)
{
    private static readonly Dictionary<int, (string Name, int Elements, int Bytes)> kinds = new()
    {
        [0] = ("f32", 1, 4), [1] = ("f16", 1, 2), [30] = ("bf16", 1, 2), [8] = ("q8_0", 32, 34), [2] = ("q4_0", 32, 18),
        [12] = ("q4_k", 256, 144),
    };

    public static GgufContent Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        using var reader = new BinaryReader(new MemoryStream(bytes));
        string Text() => Encoding.UTF8.GetString(reader.ReadBytes((int)reader.ReadInt64()));
        object Value(int type) => type switch
        {
            0 => reader.ReadByte(),
            4 => reader.ReadUInt32(),
            5 => reader.ReadInt32(),
            6 => reader.ReadSingle(),
            7 => reader.ReadBoolean(),
            8 => Text(),
            9 => List(),
            _ => throw new InvalidDataException($"{type}"),
        };
        object[] List()
        {
            var inner = reader.ReadInt32();
            return [.. Enumerable.Range(0, (int)reader.ReadInt64()).Select(_ => Value(inner))];
        }
        Assert.Equal("GGUF", Encoding.ASCII.GetString(reader.ReadBytes(4)));
        Assert.Equal(3, reader.ReadInt32());
        long tensors = reader.ReadInt64(), count = reader.ReadInt64();
        var values = new Dictionary<string, object>();
        for (var i = 0; i < count; i++) values.Add(Text(), Value(reader.ReadInt32()));
        var places = new Dictionary<string, (long[], int, long)>();
        for (var i = 0; i < tensors; i++)
        {
            var name = Text();
            var shape = Enumerable.Range(0, reader.ReadInt32()).Select(_ => reader.ReadInt64()).Reverse().ToArray();
            places.Add(name, (shape, reader.ReadInt32(), reader.ReadInt64()));
        }
        Assert.All(places.Values, place => Assert.Equal(0, place.Item3 % 32));
        return new GgufContent(values, places, (reader.BaseStream.Position + 31) / 32 * 32, bytes);
    }

    /// <summary>The name of a tensor's type.</summary>
    public string TypeOf(string name) => kinds[Tensors[name].Type].Name;

    /// <summary>A tensor's bytes.</summary>
    public byte[] Raw(string name)
    {
        var (shape, type, offset) = Tensors[name];
        var start = (int)(DataStart + offset);
        return Bytes[start..(start + (int)(shape.Aggregate(1L, (product, x) => product * x) / kinds[type].Elements * kinds[type].Bytes))];
    }

    /// <summary>A tensor's values, decoded from its blocks.</summary>
    public float[] Floats(string name) => BlockReader.Read(TypeOf(name), Raw(name));
}
