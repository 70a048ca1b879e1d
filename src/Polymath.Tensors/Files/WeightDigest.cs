using System.Security.Cryptography;
using System.Text;

namespace Polymath.Tensors.Files;

/// <summary>
/// A digest of weights. Two models have the same digest exactly when all names, types, shapes and bytes are the same, however they are
/// split into files.
/// </summary>
public static class WeightDigest
{
    // Tensors with up to this many bytes are read whole; of larger ones, runs at even distances are read.
    private const int Whole = 1 << 16, Runs = 64, RunLength = 512;

    /// <summary>
    /// A digest that takes milliseconds: SHA-256 over the names, types and shapes of all tensors in the order of their names, and over the
    /// bytes of small ones and samples of large ones. It distinguishes models, but does not detect every changed bit.
    /// </summary>
    /// <param name="files">The files.</param>
    public static string Sampled(IReadOnlyList<string> files) => Over(files, (file, name, hash) =>
    {
        var entry = file.Entries[name];
        if (entry.Length <= Whole || entry.Strides is not null)
        {
            file.Pour(name, piece => hash.AppendData(piece.Span));
            return;
        }
        for (var run = 0; run < Runs; run++) hash.AppendData(file.Bytes(name, (entry.Length - RunLength) / (Runs - 1) * run, RunLength));
    });

    /// <summary>SHA-256 over all tensors of the files in the order of their names, in lower-case hex.</summary>
    /// <param name="files">The files.</param>
    public static string Of(IReadOnlyList<string> files) =>
        Over(files, (file, name, hash) => file.Pour(name, piece => hash.AppendData(piece.Span)));

    private static string Over(IReadOnlyList<string> files, Action<WeightFile, string, IncrementalHash> take)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var opened = files.Select(WeightFile.OpenAny).ToList();
        try
        {
            foreach (var (file, name) in opened.SelectMany(file => file.Entries.Keys.Select(name => (file, name)))
                .OrderBy(pair => pair.name, StringComparer.Ordinal))
            {
                var entry = file.Entries[name];
                hash.AppendData(Encoding.UTF8.GetBytes($"{name}\0{entry.Kind}\0{string.Join(',', entry.Shape)}\0"));
                take(file, name, hash);
            }
        }
        finally
        {
            opened.ForEach(file => file.Dispose());
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
