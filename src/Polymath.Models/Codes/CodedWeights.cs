using System.Text.RegularExpressions;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>A weight that a file holds as codes with scales.</summary>
/// <param name="Name">The weight's name, as if it were stored in full.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Parts">The names of the tensors that it is computed from.</param>
/// <param name="Make">Computes the values that the codes stand for, as a new tensor.</param>
internal sealed record DecodedWeight(string Name, IReadOnlyList<long> Shape, IReadOnlyList<string> Parts, Func<Tensor> Make);

/// <summary>The weights that a folder's files hold as codes: each is computed on request, one at a time.</summary>
/// <param name="Method">The name of the method.</param>
/// <param name="Weights">The weights, by name.</param>
/// <param name="Needless">A pattern of whole names of tensors that belong to the method and not to the weights: scales of activations and
/// of caches.</param>
internal sealed record CodedWeights(string Method, IReadOnlyDictionary<string, DecodedWeight> Weights, string? Needless = null);

/// <summary>The tensors of a model's files.</summary>
/// <param name="places">The file of each tensor.</param>
internal sealed class StoredTensors(IReadOnlyDictionary<string, WeightFile> places)
{
    /// <summary>All names.</summary>
    internal IEnumerable<string> Names => places.Keys;

    /// <summary>Whether there is a tensor of a name.</summary>
    /// <param name="name">The name.</param>
    internal bool Has(string name) => places.ContainsKey(name);

    /// <summary>The type as safetensors writes it, such as <c>I32</c>.</summary>
    /// <param name="name">The name.</param>
    internal string Kind(string name) => places[name].Entries[name].Kind;

    /// <summary>The shape.</summary>
    /// <param name="name">The name.</param>
    internal long[] Shape(string name) => places[name].Entries[name].Shape;

    /// <summary>The tensor of a name.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="InputException">There is none, though others of its module are there.</exception>
    internal Tensor Map(string name) => Has(name) ? places[name].Map(name) : throw Missing(name);

    /// <summary>The bytes of the tensor of a name, whatever its type, [bytes].</summary>
    /// <param name="name">The name.</param>
    internal Tensor MapBytes(string name) => Has(name) ? places[name].MapBytes(name) : throw Missing(name);

    /// <summary>The bytes of a small tensor.</summary>
    /// <param name="name">The name.</param>
    internal byte[] Bytes(string name) => places[name].Bytes(name).ToArray();

    /// <summary>The names with an ending, without the ending.</summary>
    /// <param name="ending">The ending.</param>
    internal IEnumerable<string> Before(string ending) =>
        Names.Where(name => name.EndsWith(ending, StringComparison.Ordinal)).Select(name => name[..^ending.Length]);

    /// <summary>The names, of those given, that exist.</summary>
    /// <param name="names">The names.</param>
    internal List<string> Present(params string[] names) => [.. names.Where(Has)];

    /// <summary>Refuses a tensor of another type or shape than the layout has; a size below 0 matches any size.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="kinds">The types, such as <c>I32</c> or <c>F16 BF16 F32</c>.</param>
    /// <param name="shape">The shape.</param>
    internal void Expect(string name, string kinds, params long[] shape)
    {
        if (!Has(name)) throw Missing(name);
        var (kind, found) = (Kind(name), Shape(name));
        if (!kinds.Split(' ').Contains(kind) || found.Length != shape.Length
            || shape.Where((size, i) => size >= 0 && size != found[i]).Any())
        {
            throw new InputException($"{places[name].Path}: {name} is {kind} of the shape [{string.Join(", ", found)}]; its layout needs"
                + $" {kinds.Replace(" ", " or ", StringComparison.Ordinal)}"
                + $" of [{string.Join(", ", shape.Select(size => size < 0 ? "any" : $"{size}"))}]. {CodeSteps.FetchAgain}");
        }
    }

    private InputException Missing(string name) =>
        new($"{places.Values.First().Path}: {name} is missing, though other parts of the quantized weight are there."
            + $" {CodeSteps.FetchAgain}");
}

/// <summary>Small steps that the layouts share. Inputs and results are tensors of the caller's scope.</summary>
internal static class CodeSteps
{
    /// <summary>What to do about a file whose codes are damaged.</summary>
    internal const string FetchAgain = "Fetch the file again, or the model in 16 bits.";

    /// <summary>The floating-point types of scales.</summary>
    internal const string Real = "F16 BF16 F32";

    /// <summary>Unpacks words of 32 bits: [.., n] to [.., n, 32/bits], the lowest bits first, each from 0 to 2^bits - 1.</summary>
    /// <param name="words">The words, 32-bit integers.</param>
    /// <param name="bits">The bits of a code: a divisor of 32.</param>
    internal static Tensor Unpack(Tensor words, int bits)
    {
        var shifts = arange(0, 32 / bits, dtype: ScalarType.Int32) * bits;
        return words.unsqueeze(-1).bitwise_right_shift(shifts).bitwise_and(tensor((1 << bits) - 1, dtype: ScalarType.Int32));
    }

    /// <summary>Runs a step whose intermediate tensors are freed; its result is the caller's.</summary>
    /// <param name="step">The step.</param>
    internal static Func<Tensor> Scoped(Func<Tensor> step) => () =>
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        return step().contiguous().DetachFromDisposeScope();
    };

    /// <summary>The type that a configuration gives its weights; 32 bits when it names none.</summary>
    /// <param name="name">The value of <c>dtype</c> or <c>torch_dtype</c>, or of a tensor's own record.</param>
    internal static ScalarType TypeOf(string? name) => Regex.Replace(name ?? "", @"^torch\.", "") switch
    {
        "float16" => ScalarType.Float16,
        "bfloat16" => ScalarType.BFloat16,
        _ => ScalarType.Float32,
    };
}
