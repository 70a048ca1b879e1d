using System.Buffers.Binary;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads the fields of a message in Protocol Buffers' wire format.</summary>
/// <param name="file">The file's name, for messages.</param>
/// <param name="bytes">The message.</param>
internal ref struct ProtobufReader(string file, ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> all = bytes;
    private int at;
    private int kind;
    private ulong number;
    private ReadOnlySpan<byte> content;

    /// <summary>The number of the field read last.</summary>
    public int Field { get; private set; }

    /// <summary>Reads the next field.</summary>
    /// <returns>Whether there was one.</returns>
    public bool Next()
    {
        if (at >= all.Length)
            return false;
        var tag = Varint();
        (Field, kind) = tag >> 3 is > 0 and < 1 << 29 and var field ? ((int)field, (int)(tag & 7)) : throw Fault("a field has no number");
        switch (kind)
        {
            case 0:
                number = Varint();
                break;
            case 1:
                number = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
                break;
            case 2:
                var length = Varint();
                content = length <= (ulong)(all.Length - at)
                    ? Take((int)length)
                    : throw Fault($"field {Field} should have {length} bytes, but {all.Length - at} are left");
                break;
            case 5:
                number = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
                break;
            default:
                throw Fault($"field {Field} is of the unknown kind {kind}");
        }

        return true;
    }

    /// <summary>The field as a whole number.</summary>
    public readonly int Integer() => kind == 0 ? (int)(long)number : throw Fault($"field {Field} is not a whole number");

    /// <summary>The field as true or false.</summary>
    public readonly bool Flag() => Integer() != 0;

    /// <summary>The field as a number of 32 bits.</summary>
    public readonly float Single()
    {
        var value = kind == 5 ? BitConverter.UInt32BitsToSingle((uint)number) : throw Fault($"field {Field} is not a number of 32 bits");
        return float.IsFinite(value) ? value : throw Fault($"field {Field} is {value}");
    }

    /// <summary>The field as bytes.</summary>
    public readonly ReadOnlySpan<byte> Bytes() => kind == 2 ? content : throw Fault($"field {Field} holds no bytes");

    /// <summary>The field as text.</summary>
    public readonly string Text()
    {
        var content = Bytes();
        return System.Text.Unicode.Utf8.IsValid(content)
            ? System.Text.Encoding.UTF8.GetString(content)
            : throw Fault($"field {Field} is not text in UTF-8");
    }

    /// <summary>The fault for a damaged file.</summary>
    public readonly InputException Fault(string what) => SentencePieceFile.Fault(file, $"near byte {at}: {what}");

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > all.Length - at)
            throw Fault("the file is cut off");
        var taken = all.Slice(at, count);
        at += count;
        return taken;
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 70; shift += 7)
        {
            var part = Take(1)[0];
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
                return value;
        }

        throw Fault("a number has too many bytes");
    }
}
