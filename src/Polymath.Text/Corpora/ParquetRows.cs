using System.Text.Json.Nodes;
using Parquet;
using Parquet.Meta;
using Parquet.Schema;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads rows from Apache Parquet files, one row group at a time; lists and structs are values like those of JSON.</summary>
internal static class ParquetRows
{
    /// <summary>Reads a file's rows.</summary>
    /// <exception cref="InputException">The file is damaged or not Parquet.</exception>
    public static void Read(string file, RowCollector rows, Action<long>? progress)
    {
        try
        {
            ReadAsync(file, rows, progress).GetAwaiter().GetResult();
        }
        catch (Exception fault) when (fault is not (InputException or OutOfMemoryException))
        {
            // With damaged bytes, the library may throw any exception.
            throw new InputException(
                $"{file} cannot be read as Parquet: {fault.Message.TrimEnd('.')}. Is the file whole? Fetch it again, or set 'format'.",
                fault);
        }
    }

    private static async Task ReadAsync(string file, RowCollector rows, Action<long>? progress)
    {
        using var stream = File.OpenRead(file);
        await using var reader = await ParquetReader.CreateAsync(stream, null, leaveStreamOpen: true).ConfigureAwait(false);
        Plain(reader.Metadata);
        var fields = reader.Schema.Fields.Where(field => rows.Wants(field.Name)).ToList();
        var number = 0L;
        for (var index = 0; index < reader.RowGroupCount; index++)
        {
            using var group = reader.OpenRowGroupReader(index);
            var columns = new List<(Field Field, ParquetColumn[] Leaves)>();
            foreach (var field in fields)
            {
                if (await ParquetColumn.ReadAsync(group, field, rows).ConfigureAwait(false) is { } leaves)
                    columns.Add((field, leaves));
            }
            for (var row = 0; row < group.RowCount; row++)
            {
                var values = new JsonObject();
                foreach (var (field, leaves) in columns)
                    values[field.Name] = ParquetValue.Of(field, [.. leaves.Select(leaf => leaf.Record(row))]);
                rows.Add(new RowPlace(file, "row", ++number), values);
            }
            progress?.Invoke(stream.Length / reader.RowGroupCount);
        }
    }

    // The library does not know half floats, so they are read as bytes.
    private static void Plain(FileMetaData? metadata)
    {
        foreach (var element in (metadata?.Schema ?? []).Where(element => element.LogicalType?.FLOAT16 is not null))
            element.LogicalType = null;
    }
}
