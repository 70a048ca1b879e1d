using System.Buffers.Binary;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Tensors.Files;

/// <summary>
/// The header of a safetensors file: eight bytes of length, then JSON. All values in it are checked against the file's size before use.
/// </summary>
internal sealed class SafetensorsHeader
{
    private const long LongestHeader = 100_000_000;

    // libtorch's own limit; a header with more dimensions could only be an attack on the stack.
    private const int MostDimensions = 64;

    internal Dictionary<string, WeightEntry> Entries { get; } = new(StringComparer.Ordinal);

    internal Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    internal long DataStart { get; private init; }

    internal static SafetensorsHeader Read(Stream stream, string path)
    {
        InputException Fault(string what) => new($"{path} is not a complete safetensors file: {what}. Get the file again.");
        Span<byte> prefix = stackalloc byte[8];
        if (stream.Length < 8) throw Fault($"it has {stream.Length} bytes, fewer than the 8 that hold the header's length");
        stream.ReadExactly(prefix);
        if (prefix.SequenceEqual("version "u8))
            throw new InputException($"{path} is a pointer of Git LFS, not the weights. Fetch them: git lfs pull.");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > LongestHeader || length > (ulong)(stream.Length - 8))
            throw Fault($"the header claims {length:N0} bytes, the file has {stream.Length:N0}");
        var text = new byte[length];
        stream.ReadExactly(text);
        var header = new SafetensorsHeader { DataStart = 8 + (long)length };
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 8 });
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw Fault("the header is not a JSON object");
            foreach (var item in document.RootElement.EnumerateObject()) header.Add(item, stream.Length - header.DataStart, Fault);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw Fault($"the header is not the JSON it should be ({e.Message})");
        }
        header.CheckCover(stream.Length, Fault);
        return header;
    }

    private void Add(JsonProperty item, long size, Func<string, InputException> fault)
    {
        if (item.Name == "__metadata__")
        {
            foreach (var pair in item.Value.EnumerateObject()) Metadata[pair.Name] = pair.Value.GetString() ?? "";
            return;
        }
        JsonElement Part(string key) => item.Value.TryGetProperty(key, out var part) ? part : throw fault($"{item.Name} has no {key}");
        var kind = Part("dtype").GetString() ?? "";
        if (!ElementKind.TryGet(kind, out var known))
            throw fault($"{item.Name} is of the type '{kind}'; known are {string.Join(", ", ElementKind.Names)}");
        var shape = Part("shape").EnumerateArray().Select(x => x.GetInt64()).ToArray();
        var offsets = Part("data_offsets").EnumerateArray().Select(x => x.GetInt64()).ToArray();
        if (offsets.Length != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > size)
            throw fault($"{item.Name} lies at [{string.Join(", ", offsets)}], the file has {size:N0} bytes of data");
        if (shape.Length > MostDimensions) throw fault($"{item.Name} has {shape.Length} dimensions; at most {MostDimensions} are known");
        if (Array.Exists(shape, x => x < 0)) throw fault($"{item.Name} has the shape [{string.Join(", ", shape)}]");
        var bytes = Array.Exists(shape, x => x == 0)
            ? 0
            : shape.Aggregate((Int128)known.Size, (product, x) => product > long.MaxValue ? product : product * x);
        if (bytes != offsets[1] - offsets[0])
            throw fault($"{item.Name}, {kind} of shape [{string.Join(", ", shape)}], takes {bytes:N0} bytes, the header gives it "
                + $"{offsets[1] - offsets[0]:N0}");
        if (!Entries.TryAdd(item.Name, new WeightEntry(
            known.Type,
            kind,
            shape,
            DataStart + offsets[0],
            offsets[1] - offsets[0]))) throw fault($"{item.Name} is there twice");
    }

    // The format demands that tensors follow each other and fill the file: there are no overlaps and no gaps.
    private void CheckCover(long size, Func<string, InputException> fault)
    {
        var at = DataStart;
        foreach (var (name, entry) in Entries.OrderBy(pair => pair.Value.Start).ThenBy(pair => pair.Value.Length))
        {
            if (entry.Start != at) throw fault($"{name} starts at {entry.Start - DataStart:N0}, but {at - DataStart:N0} was expected");
            at += entry.Length;
        }
        if (at != size) throw fault($"its tensors end at {at - DataStart:N0}, the data at {size - DataStart:N0}");
    }
}
