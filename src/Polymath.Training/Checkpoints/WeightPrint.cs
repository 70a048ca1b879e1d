using System.Security.Cryptography;
using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Training.Checkpoints;

/// <summary>A short print of weights, by which one can tell whether they changed.</summary>
static class WeightPrint
{
    private const long Most = 4096;

    /// <summary>The print of some weights: a hash of some thousand elements of each, evenly spaced.</summary>
    /// <param name="weights">The weights.</param>
    internal static string Of(IEnumerable<Weight> weights)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var frozen = no_grad();
        foreach (var weight in weights)
        {
            using var scope = NewDisposeScope();
            var flat = weight.Value.detach().reshape(-1);
            var every = Math.Max(1, flat.numel() / Most);
            var some = flat.slice(0, 0, flat.numel(), every).to(ScalarType.Float32).cpu().contiguous();
            hash.AppendData(some.bytes);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
