using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Runs;

/// <summary>
/// Figures as event files that TensorBoard opens: <c>tensorboard/STAGE/events.out.tfevents.polymath</c>. A file is a list of records
/// (TFRecord: length, checksum, bytes, checksum) that each hold one <c>tensorflow.Event</c> in protobuf's encoding.
/// </summary>
/// <param name="folder">The folder of the event files.</param>
public sealed class TensorBoardLog(string folder)
{
    /// <summary>The name of each stage's file.</summary>
    public const string File = "events.out.tfevents.polymath";

    private const uint MaskDelta = 0xa282ead8;
    private const byte Double = 1, Length = 2, Float = 5;

    /// <summary>Adds a figure, and what the line says of its step.</summary>
    /// <param name="line">The figure.</param>
    /// <exception cref="RunFailedException">The file cannot be written.</exception>
    public void Append(MetricLine line)
    {
        var file = FileOf(line.Stage);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            using var stream = new FileStream(file, FileMode.Append);
            if (stream.Length == 0)
                Write(stream, Version(line.Time));
            Write(stream, Event(line));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RunFailedException($"{file} cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Writes a stage's file again with the figures that count.</summary>
    /// <param name="stage">The stage's visit.</param>
    /// <param name="lines">The figures.</param>
    public void Rewind(string stage, IEnumerable<MetricLine> lines)
    {
        if (!System.IO.File.Exists(FileOf(stage)))
            return;
        System.IO.File.Delete(FileOf(stage));
        foreach (var line in lines.Where(line => line.Stage == stage))
            Append(line);
    }

    private string FileOf(string stage) => Path.Combine(folder, stage, File);

    private static byte[] Version(DateTimeOffset time)
    {
        using var message = new MemoryStream();
        Put(message, 1, BitConverter.DoubleToUInt64Bits(Seconds(time)));
        Put(message, 3, "brain.Event:2"u8);
        return message.ToArray();
    }

    private static byte[] Event(MetricLine line)
    {
        using var summary = new MemoryStream();
        (string Name, double? Value)[] values =
        [
            (line.Name, line.Value), (line.Name + " spread", line.Spread), ("epoch", line.Epoch), ("rate", line.Rate),
            ("gradientNorm", line.GradientNorm), ("tokensPerSecond", line.TokensPerSecond), ("memoryMegabytes", line.MemoryMegabytes),
        ];
        foreach (var (name, value) in values)
        {
            if (value is not { } number)
                continue;
            using var one = new MemoryStream();
            Put(one, 1, Encoding.UTF8.GetBytes(name));
            Put(one, 2, (float)number);
            Put(summary, 1, one.ToArray());
        }
        using var message = new MemoryStream();
        Put(message, 1, BitConverter.DoubleToUInt64Bits(Seconds(line.Time)));
        message.WriteByte(2 << 3);
        PutNumber(message, (ulong)line.Step);
        Put(message, 5, summary.ToArray());
        return message.ToArray();
    }

    private static double Seconds(DateTimeOffset time) => time.ToUnixTimeMilliseconds() / 1000.0;

    private static void Put(MemoryStream message, int field, ulong bits)
    {
        message.WriteByte((byte)(field << 3 | Double));
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, bits);
        message.Write(bytes);
    }

    private static void Put(MemoryStream message, int field, float value)
    {
        message.WriteByte((byte)(field << 3 | Float));
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
        message.Write(bytes);
    }

    private static void Put(MemoryStream message, int field, ReadOnlySpan<byte> content)
    {
        message.WriteByte((byte)(field << 3 | Length));
        PutNumber(message, (ulong)content.Length);
        message.Write(content);
    }

    // Seven bits a byte, the lowest first.
    private static void PutNumber(MemoryStream message, ulong number)
    {
        for (; number >= 0x80; number >>= 7)
            message.WriteByte((byte)(number | 0x80));
        message.WriteByte((byte)number);
    }

    private static void Write(FileStream file, byte[] content)
    {
        Span<byte> length = stackalloc byte[8], sum = stackalloc byte[4];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)content.Length);
        file.Write(length);
        BinaryPrimitives.WriteUInt32LittleEndian(sum, Masked(length));
        file.Write(sum);
        file.Write(content);
        BinaryPrimitives.WriteUInt32LittleEndian(sum, Masked(content));
        file.Write(sum);
    }

    // CRC-32C, turned and shifted as TensorFlow's record format has it.
    private static uint Masked(ReadOnlySpan<byte> content)
    {
        var sum = 0xffffffffu;
        foreach (var one in content)
            sum = BitOperations.Crc32C(sum, one);
        sum = ~sum;
        return BitOperations.RotateRight(sum, 15) + MaskDelta;
    }
}
