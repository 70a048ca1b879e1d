using System.Buffers.Binary;
using System.Text;
using Polymath.Runs;
using Polymath.Tests.Text;

namespace Polymath.Tests.Runs;

/// <summary>Event files, read by a reader of the tests' own.</summary>
[Trait("kind", "unit")]
public sealed class TensorBoardTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    // CRC-32C bit by bit (RFC 3720, B.4), with TensorFlow's mask.
    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        var sum = 0xffffffffu;
        foreach (var one in bytes)
        {
            sum ^= one;
            for (var bit = 0; bit < 8; bit++)
                sum = (sum >> 1) ^ (0x82f63b78u & (0u - (sum & 1)));
        }
        sum = ~sum;
        return ((sum >> 15) | (sum << 17)) + 0xa282ead8u;
    }

    private static List<byte[]> Records(byte[] file)
    {
        var records = new List<byte[]>();
        for (var at = 0; at < file.Length;)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(at));
            Assert.Equal(Masked(file.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 8)));
            records.Add(file[(at + 12)..(at + 12 + length)]);
            Assert.Equal(Masked(records[^1]), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 12 + length)));
            at += 16 + length;
        }
        return records;
    }

    // The fields of a message: numbers as they are, others as bytes.
    private static List<(int Field, ulong Number, byte[] Bytes)> Fields(byte[] message)
    {
        var fields = new List<(int, ulong, byte[])>();
        var at = 0;
        ulong Number()
        {
            ulong number = 0;
            for (var shift = 0; ; shift += 7)
            {
                number |= (ulong)(message[at] & 0x7f) << shift;
                if (message[at++] < 0x80) return number;
            }
        }
        while (at < message.Length)
        {
            var key = Number();
            var length = (key & 7) switch { 1 => 8, 5 => 4, 2 => (int)Number(), _ => 0 };
            var number = (key & 7) == 0 ? Number() : 0;
            fields.Add(((int)(key >> 3), number, message[at..(at + length)]));
            at += length;
        }
        return fields;
    }

    private static Dictionary<string, float> Values(byte[] message) =>
        Fields(Fields(message).Single(field => field.Field == 5).Bytes).Select(value => Fields(value.Bytes)).ToDictionary(
            value => Encoding.UTF8.GetString(value[0].Bytes), value => BinaryPrimitives.ReadSingleLittleEndian(value[1].Bytes));

    private static MetricLine Line(int step, double loss) =>
        new("read", step, "loss", loss) { Time = DateTimeOffset.UnixEpoch.AddSeconds(1000 + step), Rate = 0.5, Epoch = 0.25 };

    [Fact]
    public void A_file_says_its_version_and_each_step_s_figures()
    {
        var log = new TensorBoardLog(folder.Path);
        log.Append(Line(1, 3.5));
        log.Append(Line(300, 2.25));
        var records = Records(File.ReadAllBytes(folder.At("read", TensorBoardLog.File)));
        Assert.Equal(3, records.Count);
        Assert.Equal("brain.Event:2", Encoding.UTF8.GetString(Fields(records[0]).Single(field => field.Field == 3).Bytes));
        Assert.Equal(1300.0, BitConverter.ToDouble(Fields(records[2]).Single(field => field.Field == 1).Bytes));
        Assert.Equal(300ul, Fields(records[2]).Single(field => field.Field == 2).Number);
        var values = Values(records[2]);
        Assert.Equal((2.25f, 0.5f, 0.25f, 3), (values["loss"], values["rate"], values["epoch"], values.Count));
    }

    [Fact]
    public void Steps_that_are_done_again_stand_once()
    {
        var log = new TensorBoardLog(folder.Path);
        for (var step = 1; step <= 5; step++)
            log.Append(Line(step, step));
        log.Rewind("read", [Line(1, 1), Line(2, 2)]);
        log.Append(Line(3, 9));
        var losses = Records(File.ReadAllBytes(folder.At("read", TensorBoardLog.File))).Skip(1).Select(record => Values(record)["loss"]);
        Assert.Equal([1f, 2f, 9f], losses);
    }
}
