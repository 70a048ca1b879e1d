using System.Security.Cryptography;
using System.Text;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// Identifies a model without reading all of it: SHA-256 over the names, shapes and sampled values of its weights. The values are rounded
/// first, once to bfloat16 and once to float16, so that a model and its copy in either type share one of the two digests.
/// </summary>
/// <param name="Shapes">The digest of the names and shapes only, in lower-case hex.</param>
/// <param name="Bfloat16">The digest with the values rounded to bfloat16.</param>
/// <param name="Float16">The digest with the values rounded to float16.</param>
public sealed record ModelSignature(string Shapes, string Bfloat16, string Float16)
{
    // Weights with up to this many values are read whole; of larger ones, runs at even distances are read.
    private const int Whole = 1 << 16, Runs = 64, RunLength = 64;

    /// <summary>The signature of a model without its adapters.</summary>
    /// <param name="model">The model.</param>
    public static ModelSignature Of(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        using var frozen = no_grad();
        using IncrementalHash shapes = New(), bfloat16 = New(), float16 = New();
        var turned = model.Projections.Where(map => map.Transposed).Select(map => map.Weight).ToHashSet();
        foreach (var weight in model.Weights.OrderBy(weight => weight.Name, StringComparer.Ordinal))
        {
            using var scope = NewDisposeScope();
            var head = Encoding.UTF8.GetBytes($"{weight.Name}\0{string.Join(',', weight.Shape)}\0");
            var numbers = Sample(weight, turned.Contains(weight)).cpu();
            shapes.AppendData(head);
            foreach (var (hash, type) in new[] { (bfloat16, ScalarType.BFloat16), (float16, ScalarType.Float16) })
            {
                hash.AppendData(head);
                hash.AppendData(numbers.to(type).contiguous().bytes);
            }
        }
        return new ModelSignature(Take(shapes), Take(bfloat16), Take(float16));
    }

    private static IncrementalHash New() => IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    private static string Take(IncrementalHash hash) => Convert.ToHexStringLower(hash.GetHashAndReset());

    // The places of a weight's sampled values, in the order of the file. A run is contiguous, so that only few places of a file are read.
    private static long[] Places(long count)
    {
        if (count <= Whole) return [.. Enumerable.Range(0, (int)count).Select(i => (long)i)];
        return [.. Enumerable.Range(0, Runs)
            .SelectMany(run => Enumerable.Range(0, RunLength).Select(i => (count - RunLength) / (Runs - 1) * run + i))];
    }

    private static Tensor Sample(Weight weight, bool turned)
    {
        var places = Places(weight.Count);
        if (weight.Before is { } before) return Of(before, places);
        if (weight.Quantized is not { } few) return Of(weight.Value.detach(), places);
        if (turned || weight.Count <= Whole || few.Device.type != TorchSharp.DeviceType.CPU) return Of(weight.Wide(), places);
        // Only the rows that contain the runs are widened.
        var runs = places.Chunk(RunLength).Select(run =>
        {
            long first = run[0] / few.Columns, last = run[^1] / few.Columns;
            return few.Wide(first, last - first + 1).view(-1).narrow(0, run[0] - first * few.Columns, RunLength);
        });
        return cat([.. runs], 0);
    }

    private static Tensor Of(Tensor numbers, long[] places) =>
        numbers.reshape(-1).index_select(0, tensor(places, device: numbers.device)).to(ScalarType.Float32);

    /// <summary>Whether two models are the same except for the type of their values.</summary>
    /// <param name="other">The other's signature.</param>
    public bool Fits(ModelSignature other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Bfloat16 == other.Bfloat16 || Float16 == other.Float16;
    }

    /// <summary>One line of text with the digests, separated by colons.</summary>
    public override string ToString() => $"{Shapes}:{Bfloat16}:{Float16}";

    /// <summary>Reads what <see cref="ToString"/> wrote.</summary>
    /// <param name="text">The text.</param>
    /// <returns>The signature, or null when the text is not one.</returns>
    public static ModelSignature? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var parts = text.Split(':');
        return parts.Length == 3 && parts.All(part => part.Length == 64 && part.All(char.IsAsciiHexDigitLower))
            ? new ModelSignature(parts[0], parts[1], parts[2])
            : null;
    }
}
