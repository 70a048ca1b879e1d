using System.Diagnostics;
using Polymath.Text;

namespace Polymath.Bench;

/// <summary>How fast tokenizers encode: a file line by line, on one thread or several, including a cold start, like its peer.</summary>
internal static class TokenizerSpeed
{
    private const int BatchLines = 1000;

    internal static int Run(string folder, string file, double megabytes, int threads)
    {
        var tokenizer = Tokenizer.Load(folder);
        long bytes = 0, ids = 0, sum = 0;
        var watch = new Stopwatch();
        var batch = new List<string>();
        foreach (var line in File.ReadLines(file))
        {
            batch.Add(line);
            bytes += System.Text.Encoding.UTF8.GetByteCount(line) + 1;
            if (batch.Count < BatchLines) continue;
            Encode();
            if (bytes > megabytes * 1e6) break;
        }
        Encode();
        Console.WriteLine($"{bytes / 1e6 / watch.Elapsed.TotalSeconds:F2} MB/s  {ids} ids  sum {sum}  {bytes / 1e6:F1} MB in "
            + $"{watch.Elapsed.TotalSeconds:F2} s  ({Path.GetFileName(folder)}, {Path.GetFileName(file)}, {threads} "
            + $"thread{(threads == 1 ? "" : "s")})");
        return 0;

        void Encode()
        {
            watch.Start();
            var rows = threads == 1 ? [.. batch.Select(text => tokenizer.Encode(text))] : tokenizer.EncodeMany(batch, false, threads);
            watch.Stop();
            foreach (var row in rows)
            {
                ids += row.Length;
                foreach (var id in row) sum += id;
            }
            batch.Clear();
        }
    }
}
