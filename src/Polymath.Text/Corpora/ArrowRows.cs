using System.Text.Json.Nodes;
using Apache.Arrow;
using Apache.Arrow.Compression;
using Apache.Arrow.Ipc;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads rows from Apache Arrow files (IPC, as a file or as a stream), one record batch at a time.</summary>
internal static class ArrowRows
{
    /// <summary>Reads a file's rows.</summary>
    /// <exception cref="InputException">The file is damaged or no Arrow file.</exception>
    public static void Read(string file, RowCollector rows, Action<long>? progress)
    {
        try
        {
            using var stream = File.OpenRead(file);
            var head = new byte[6];
            var isFile = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length
                && head.AsSpan().SequenceEqual("ARROW1"u8);
            stream.Position = 0;
            var codecs = new CompressionCodecFactory();
            using var reader = isFile ? new ArrowFileReader(stream, codecs) : new ArrowStreamReader(stream, codecs);
            ReadBatches(
                file,
                reader,
                stream,
                rows,
                progress);
        }
        catch (Exception fault) when (fault is not (InputException or OutOfMemoryException))
        {
            // With damaged bytes, the library may throw any exception.
            throw new InputException(
                $"{file} cannot be read as Arrow: {fault.Message.TrimEnd('.')}. Is the file whole? Fetch it again, or set 'format'.",
                fault);
        }
    }

    private static void ReadBatches(
        string file,
        ArrowStreamReader reader,
        FileStream stream,
        RowCollector rows,
        Action<long>? progress)
    {
        var (number, reported) = (0L, 0L);
        var skipped = new Dictionary<string, string>(StringComparer.Ordinal);
        while (reader.ReadNextRecordBatch() is { } batch)
        {
            using (batch)
            {
                foreach (var (name, type) in skipped)
                    Tell(rows, name, type, batch.Length);
                var columns = batch.Schema.FieldsList.Index().Where(entry => rows.Wants(entry.Item.Name)).ToList();
                for (var row = 0; row < batch.Length; row++)
                {
                    var values = new JsonObject();
                    foreach (var (index, field) in columns.Where(entry => !skipped.ContainsKey(entry.Item.Name)))
                    {
                        if (!TryRead(values, field.Name, batch.Column(index), row) && skipped.TryAdd(field.Name, field.DataType.Name))
                            Tell(rows, field.Name, field.DataType.Name, batch.Length);
                    }
                    rows.Add(new RowPlace(file, "row", ++number), values);
                }
            }
            progress?.Invoke(stream.Position - reported);
            reported = stream.Position;
        }
    }

    private static void Tell(RowCollector rows, string column, string type, int count) =>
        rows.Report.Count($"column '{column}' holds values of the type {type}, which cannot be read", count, null);

    private static bool TryRead(JsonObject values, string name, IArrowArray column, int row)
    {
        try
        {
            values[name] = ArrowValue.Of(column, row);
            return true;
        }
        catch (NotSupportedException)
        {
            return false;
        }
    }
}
