using System.Buffers.Binary;
using System.Text;

namespace Polymath.Tensors.Files;

/// <summary>A dictionary of a pickle: its pairs in order. Keys are not hashed, because a malicious file could make hashing slow.</summary>
internal sealed class PickledMap
{
    internal List<(object? Key, object? Value)> Pairs { get; } = [];
}

/// <summary>A Python name in a pickle, one of the few that are allowed.</summary>
internal sealed record PickledName(string Name);

/// <summary>
/// Reads Python's pickles, limited to what a file of tensors needs: plain values, containers, and calls of the few functions that
/// <see cref="PickledTensors"/> knows. Every other name is refused immediately; no name is looked up and no code is run.
/// </summary>
/// <param name="data">The bytes.</param>
/// <param name="fault">Makes the exception for a fault.</param>
internal sealed class PickleReader(byte[] data, Func<string, Exception> fault)
{
    private readonly List<object?> stack = [];
    private readonly List<int> marks = [];
    private readonly Dictionary<long, object?> memo = [];

    /// <summary>The start of the next pickle.</summary>
    internal int Position { get; private set; }

    /// <summary>The value of the next pickle.</summary>
    internal object? Read()
    {
        stack.Clear();
        marks.Clear();
        memo.Clear();
        while (true)
        {
            var code = Take(1)[0];
            if (code == '.') return Pop();
            if (!Value(code) && !Container(code) && !Memory(code) && !Call(code))
                throw fault($"its pickle asks for the operation 0x{code:x2}, which no file of tensors needs");
        }
    }

    private bool Value(byte code)
    {
        switch (code)
        {
            case 0x80: Take(1); return true;
            case 0x95: Take(8); return true;
            case (byte)'N': return Push(null);
            case 0x88: return Push(true);
            case 0x89: return Push(false);
            case (byte)'K': return Push((long)Take(1)[0]);
            case (byte)'M': return Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)));
            case (byte)'J': return Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)));
            case 0x8a:
                var whole = Whole(Take(Take(1)[0]));
                return Push(whole >= long.MinValue && whole <= long.MaxValue ? (long)whole : (object)whole);
            case (byte)'G': return Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8)));
            case (byte)'X' or (byte)'T': return Push(Text(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))));
            case 0x8c or (byte)'U': return Push(Text(Take(1)[0]));
            case 0x8d: return Push(Text(BinaryPrimitives.ReadUInt64LittleEndian(Take(8))));
            case (byte)'B': return Push(Take(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))).ToArray());
            case (byte)'C': return Push(Take(Take(1)[0]).ToArray());
            default: return false;
        }
    }

    private bool Container(byte code)
    {
        switch (code)
        {
            case (byte)'(': marks.Add(stack.Count); return true;
            case (byte)'0': Pop(); return true;
            case (byte)'1': Marked(); return true;
            case (byte)'2': return Push(stack.Count > 0 ? stack[^1] : throw Broken());
            case (byte)']': return Push(new List<object?>());
            case (byte)'l': return Push(Marked().ToList());
            case (byte)'a' or (byte)'e':
                var added = code == 'a' ? [Pop()] : Marked();
                (stack.LastOrDefault() as List<object?> ?? throw Broken()).AddRange(added);
                return true;
            case (byte)'}': return Push(new PickledMap());
            case (byte)'d': var pairs = Marked(); Push(new PickledMap()); return Fill(pairs);
            case (byte)'s': var value = Pop(); return Fill([Pop(), value]);
            case (byte)'u': return Fill(Marked());
            case (byte)')': return Push(Array.Empty<object?>());
            case (byte)'t': return Push(Marked());
            case 0x85: return Push(new[] { Pop() });
            case 0x86: var second = Pop(); return Push(new[] { Pop(), second });
            case 0x87: object? third = Pop(), middle = Pop(); return Push(new[] { Pop(), middle, third });
            default: return false;
        }
    }

    private bool Memory(byte code)
    {
        switch (code)
        {
            case (byte)'h': return Recall(Take(1)[0]);
            case (byte)'j': return Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)));
            case (byte)'q': return Keep(Take(1)[0]);
            case (byte)'r': return Keep(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)));
            case 0x94: return Keep(memo.Count);
            default: return false;
        }
    }

    private bool Call(byte code)
    {
        switch (code)
        {
            case (byte)'c': return Named(Line(), Line());
            case 0x93:
                var (name, module) = (Pop(), Pop());
                return Named(module as string ?? throw Broken(), name as string ?? throw Broken());
            case (byte)'Q': return Push(PickledTensors.Storage(Pop(), fault));
            case (byte)'R':
                var (arguments, function) = (Pop(), Pop());
                return Push(
                    PickledTensors.Call(function as PickledName ?? throw Broken(), arguments as object?[] ?? throw Broken(), fault));
            // The attributes of a dictionary (state_dict's _metadata) are not needed for the weights.
            case (byte)'b':
                Pop();
                return stack.LastOrDefault() is PickledMap
                    ? true
                    : throw fault("its pickle sets attributes of something that is not a dictionary");
            default: return false;
        }
    }

    private bool Named(string module, string name)
    {
        var whole = $"{module}.{name}";
        return PickledTensors.Allows(whole)
            ? Push(new PickledName(whole))
            : throw fault($"its pickle asks for '{whole}', which a file of tensors does not need; none of its code was run");
    }

    private bool Push(object? value)
    {
        stack.Add(value);
        return true;
    }

    private object? Pop()
    {
        if (stack.Count == 0 || marks.Count > 0 && marks[^1] >= stack.Count) throw Broken();
        var top = stack[^1];
        stack.RemoveAt(stack.Count - 1);
        return top;
    }

    private object?[] Marked()
    {
        if (marks.Count == 0 || marks[^1] > stack.Count) throw Broken();
        var from = marks[^1];
        marks.RemoveAt(marks.Count - 1);
        var items = stack.GetRange(from, stack.Count - from).ToArray();
        stack.RemoveRange(from, items.Length);
        return items;
    }

    private bool Fill(object?[] items)
    {
        if (stack.LastOrDefault() is not PickledMap map || items.Length % 2 != 0) throw Broken();
        for (var i = 0; i < items.Length; i += 2) map.Pairs.Add((items[i], items[i + 1]));
        return true;
    }

    private bool Recall(long index) => memo.TryGetValue(index, out var value) ? Push(value) : throw Broken();

    private bool Keep(long index)
    {
        memo[index] = stack.Count > 0 ? stack[^1] : throw Broken();
        return true;
    }

    // No number in a file of tensors needs more than sixteen bytes; Python allows any length.
    private Int128 Whole(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 16) throw fault($"its pickle holds a number of {bytes.Length} bytes");
        Int128 value = bytes.Length > 0 && bytes[^1] >= 128 ? -1 : 0;
        for (var i = bytes.Length - 1; i >= 0; i--) value = value << 8 | bytes[i];
        return value;
    }

    private string Text(ulong length) => Encoding.UTF8.GetString(Take(length));

    private string Line()
    {
        var end = Array.IndexOf(data, (byte)'\n', Position);
        if (end < 0) throw Broken();
        var line = Encoding.UTF8.GetString(data, Position, end - Position);
        Position = end + 1;
        return line;
    }

    private ReadOnlySpan<byte> Take(ulong size)
    {
        if (size > (ulong)(data.Length - Position)) throw Broken();
        Position += (int)size;
        return data.AsSpan(Position - (int)size, (int)size);
    }

    private Exception Broken() => fault($"its pickle is broken or cut off at byte {Position:N0}");
}
