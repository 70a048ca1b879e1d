using System.Security.Cryptography;
using System.Text;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// What tells a model from others without reading all of it: SHA-256 over the names, shapes and sampled numbers of its weights. The numbers
/// are rounded first, once to bfloat16 and once to float16, so that a model and its copy in either type have one of the two in common.
/// </summary>
/// <param name="Shapes">The digest of the names and shapes alone, in lower-case hex.</param>
/// <param name="Bfloat16">The digest with the numbers rounded to bfloat16.</param>
/// <param name="Float16">The digest with the numbers rounded to float16.</param>
public sealed record ModelSignature(string Shapes, string Bfloat16, string Float16)
{
    // Weights up to this many numbers are read whole; of larger ones, runs at even distances.
    private const int Whole = 1 << 16, Runs = 64, RunLength = 64;

    /// <summary>The signature of a model as it stands, without what adapters do to it.</summary>
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

    // The places of a weight's numbers, in the order of the file. Those of a run lie side by side, so that a file is touched in few places.
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
        // Only the rows that the runs lie in are widened.
        var runs = places.Chunk(RunLength).Select(run =>
        {
            long first = run[0] / few.Columns, last = run[^1] / few.Columns;
            return few.Wide(first, last - first + 1).view(-1).narrow(0, run[0] - first * few.Columns, RunLength);
        });
        return cat([.. runs], 0);
    }

    private static Tensor Of(Tensor numbers, long[] places) =>
        numbers.reshape(-1).index_select(0, tensor(places, device: numbers.device)).to(ScalarType.Float32);

    /// <summary>Whether two models are the same but for the type that holds their numbers.</summary>
    /// <param name="other">The other's signature.</param>
    public bool Fits(ModelSignature other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Bfloat16 == other.Bfloat16 || Float16 == other.Float16;
    }

    /// <summary>One line of text; a colon stands between the digests.</summary>
    public override string ToString() => $"{Shapes}:{Bfloat16}:{Float16}";

    /// <summary>Reads what <see cref="ToString"/> wrote.</summary>
    /// <param name="text">The text.</param>
    /// <returns>The signature, or null where the text is none.</returns>
    public static ModelSignature? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var parts = text.Split(':');
        return parts.Length == 3 && parts.All(part => part.Length == 64 && part.All(char.IsAsciiHexDigitLower))
            ? new ModelSignature(parts[0], parts[1], parts[2])
            : null;
    }
}
