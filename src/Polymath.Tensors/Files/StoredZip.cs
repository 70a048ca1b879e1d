using System.Buffers.Binary;
using System.Text;

namespace Polymath.Tensors.Files;

/// <summary>
/// The directory of a zip archive with uncompressed members, as PyTorch writes it. Only names and places are read and nothing is unpacked,
/// so a name cannot point outside the archive. Members must be inside the file and must not overlap.
/// </summary>
internal static unsafe class StoredZip
{
    private const uint EndMark = 0x06054b50,
        WideEndMark = 0x06064b50,
        WideLocatorMark = 0x07064b50,
        DirectoryMark = 0x02014b50,
        LocalMark = 0x04034b50;

    /// <summary>The place of each member's bytes.</summary>
    /// <param name="start">The file's first byte.</param>
    /// <param name="length">The file's length.</param>
    /// <param name="fault">Makes the exception for a fault.</param>
    internal static Dictionary<string, (long Start, long Length)> Read(byte* start, long length, Func<string, Exception> fault)
    {
        ReadOnlySpan<byte> At(long place, long size) => place >= 0 && size >= 0 && size <= int.MaxValue && place <= length - size
            ? new ReadOnlySpan<byte>(start + place, (int)size)
            : throw fault($"its directory points to byte {place:N0} of {length:N0}");
        var (directory, end) = Directory(At, length, fault);
        var members = new Dictionary<string, (long Start, long Length)>(StringComparer.Ordinal);
        for (var at = directory; at < end;)
        {
            var head = At(at, 46);
            if (Int(head, 0) != DirectoryMark) throw fault($"its directory is broken at byte {at:N0}");
            int nameLength = Short(head, 28), extraLength = Short(head, 30);
            var name = Encoding.UTF8.GetString(At(at + 46, nameLength));
            if ((Short(head, 8) & 1) != 0) throw fault($"{name} is encrypted");
            if (Short(head, 10) != 0) throw fault($"{name} is compressed, which torch.save never does");
            long packed = Int(head, 20), size = Int(head, 24), local = Int(head, 42);
            Widen(At(at + 46 + nameLength, extraLength), ref size, ref packed, ref local);
            if (packed != size) throw fault($"{name} claims {packed:N0} bytes in the file and {size:N0} unpacked");
            var before = At(local, 30);
            if (Int(before, 0) != LocalMark) throw fault($"{name} should be at byte {local:N0}, but no member begins there");
            var data = local + 30 + Short(before, 26) + Short(before, 28);
            if (size < 0 || data > directory - size) throw fault($"{name} claims {size:N0} bytes, more than the file holds");
            if (!members.TryAdd(name, (data, size))) throw fault($"{name} is there twice");
            at += 46 + nameLength + extraLength + Short(head, 32);
        }
        CheckApart(members, fault);
        return members;
    }

    private delegate ReadOnlySpan<byte> Piece(long place, long size);

    private static (long Start, long End) Directory(Piece at, long length, Func<string, Exception> fault)
    {
        // The end record is last, except for a comment of at most 65,535 bytes.
        for (var place = length - 22; place >= Math.Max(0, length - 22 - ushort.MaxValue); place--)
        {
            var end = at(place, 22);
            if (Int(end, 0) != EndMark || Short(end, 20) != length - place - 22) continue;
            long size = Int(end, 12), start = Int(end, 16);
            if ((size == uint.MaxValue || start == uint.MaxValue || Short(end, 10) == ushort.MaxValue) && place >= 20)
            {
                var locator = at(place - 20, 20);
                if (Int(locator, 0) != WideLocatorMark) throw fault("the record of its long directory is missing");
                var wide = at(Long(locator, 8), 56);
                if (Int(wide, 0) != WideEndMark) throw fault("the record of its long directory is broken");
                (size, start) = (Long(wide, 40), Long(wide, 48));
            }
            if (start < 0 || size < 0 || start > place - size)
                throw fault($"its directory should be at {start:N0} with {size:N0} bytes, which is impossible");
            return (start, start + size);
        }
        throw fault("it is cut off: the directory that ends a zip archive is missing");
    }

    // Values that do not fit into 32 bits are in the extra field 1, in this order.
    private static void Widen(ReadOnlySpan<byte> extra, ref long size, ref long packed, ref long local)
    {
        while (extra.Length >= 4)
        {
            int kind = Short(extra, 0), length = Math.Min(Short(extra, 2), extra.Length - 4);
            if (kind == 1)
            {
                var values = extra.Slice(4, length);
                Take(ref values, ref size);
                Take(ref values, ref packed);
                Take(ref values, ref local);
            }
            extra = extra[(4 + length)..];
        }
    }

    private static void Take(ref ReadOnlySpan<byte> values, ref long value)
    {
        if (value != uint.MaxValue || values.Length < 8) return;
        value = Long(values, 0);
        values = values[8..];
    }

    private static void CheckApart(Dictionary<string, (long Start, long Length)> members, Func<string, Exception> fault)
    {
        long end = 0;
        foreach (var (name, (start, length)) in members.OrderBy(member => member.Value.Start).ThenBy(member => member.Value.Length))
        {
            if (start < end) throw fault($"{name} overlaps the member before it");
            end = start + length;
        }
    }

    private static int Short(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint Int(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long Long(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
