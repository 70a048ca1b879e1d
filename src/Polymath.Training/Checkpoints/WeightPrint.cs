using System.Security.Cryptography;
using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Training.Checkpoints;

/// <summary>A short print of weights, by which one can tell whether they changed.</summary>
internal static class WeightPrint
{
    private const long Part = 1 << 26;

    /// <summary>The print of some weights: a hash of all their elements.</summary>
    /// <param name="weights">The weights.</param>
    internal static string Of(IEnumerable<Weight> weights)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var frozen = no_grad();
        foreach (var weight in weights)
        {
            using var scope = NewDisposeScope();
            var flat = weight.Value.detach().reshape(-1);
            for (long at = 0; at < flat.numel(); at += Part)
            {
                using var some = flat.narrow(0, at, Math.Min(Part, flat.numel() - at)).cpu().contiguous();
                hash.AppendData(some.bytes);
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
