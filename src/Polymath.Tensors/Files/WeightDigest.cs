using System.Security.Cryptography;
using System.Text;

namespace Polymath.Tensors.Files;

/// <summary>
/// A digest of weights that two models share exactly when all their names, types, shapes and bytes are the same, however they are cut into
/// files.
/// </summary>
public static class WeightDigest
{
    /// <summary>SHA-256 over all tensors of the files in the order of their names, in lower-case hex.</summary>
    /// <param name="files">The files.</param>
    public static string Of(IReadOnlyList<string> files)
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
                file.Pour(name, piece => hash.AppendData(piece.Span));
            }
        }
        finally
        {
            opened.ForEach(file => file.Dispose());
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
