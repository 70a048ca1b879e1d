using System.Collections;
using System.Globalization;
using System.Text;
using Parquet;
using Parquet.Serialization;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads rows from Apache Parquet files, one row group at a time.</summary>
internal static class ParquetRows
{
    /// <summary>Reads a file's rows.</summary>
    /// <exception cref="InputException">The file is damaged or no Parquet.</exception>
    public static void Read(string file, RowCollector rows, Action<long>? progress)
    {
        try
        {
            ReadAsync(file, rows, progress).GetAwaiter().GetResult();
        }
        catch (Exception fault) when (fault is not (InputException or OutOfMemoryException))
        {
            // The library throws whatever a damaged byte leads it to.
            throw new InputException(
                $"{file} cannot be read as Parquet: {fault.Message.TrimEnd('.')}. Is the file whole? Fetch it again, or set 'format'.",
                fault);
        }
    }

    private static async Task ReadAsync(string file, RowCollector rows, Action<long>? progress)
    {
        using var stream = File.OpenRead(file);
        int groups;
        await using (var reader = await ParquetReader.CreateAsync(stream, null, leaveStreamOpen: true).ConfigureAwait(false))
            groups = reader.RowGroupCount;
        for (var group = 0; group < groups; group++)
        {
            stream.Position = 0;
            var result = await ParquetSerializer.DeserializeUntypedAsync(stream, null, group).ConfigureAwait(false);
            foreach (var row in result.Data)
                rows.Add(row.Keys, (path, spec) => Find(row, path) is { } value ? Text(value, spec.Join) : null);
            progress?.Invoke(stream.Length / groups);
        }
    }

    private static object? Find(object? value, string path)
    {
        if (value is IDictionary row)
        {
            if (row.Contains(path))
                return row[path];
            for (var dot = path.IndexOf('.'); dot >= 0; dot = path.IndexOf('.', dot + 1))
            {
                if (row.Contains(path[..dot]) && Find(row[path[..dot]], path[(dot + 1)..]) is { } found)
                    return found;
            }

            return null;
        }

        if (value is not IList list || value is byte[])
            return null;
        var end = path.IndexOf('.');
        if (int.TryParse(end < 0 ? path : path[..end], NumberStyles.None, null, out var index))
            return index >= list.Count ? null : end < 0 ? list[index] : Find(list[index], path[(end + 1)..]);
        var all = list.Cast<object?>().Select(item => Find(item, path)).Where(item => item is not null).ToList();
        return all.Count == 0 ? null : all;
    }

    private static string Text(object? value, string join) => value switch
    {
        null => "",
        string text => text,
        byte[] bytes => Encoding.UTF8.GetString(bytes),
        bool flag => flag ? "true" : "false",
        DateTime time => time.ToString("O", CultureInfo.InvariantCulture),
        IDictionary row => "{" + string.Join(", ", row.Keys.Cast<object>().Select(key => $"{key}: {Text(row[key], join)}")) + "}",
        IEnumerable list => string.Join(join, list.Cast<object?>().Select(item => Text(item, join))),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };
}
