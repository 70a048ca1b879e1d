using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The nonlinearity of a feed-forward block, under the names that configurations use.</summary>
public sealed class Activation
{
    private static readonly Dictionary<string, Func<Tensor, Tensor>> known = new(StringComparer.Ordinal)
    {
        ["silu"] = x => nn.functional.silu(x),
        ["swish"] = x => nn.functional.silu(x),
        ["relu"] = x => nn.functional.relu(x),
        ["relu2"] = x => nn.functional.relu(x).square(),
        ["relu6"] = x => x.clamp(0, 6),
        ["leaky_relu"] = x => nn.functional.leaky_relu(x, 0.01),
        ["sigmoid"] = x => x.sigmoid(),
        ["linear"] = x => x,
        ["mish"] = x => x * nn.functional.softplus(x).tanh(),
        ["tanh"] = x => x.tanh(),
        ["gelu"] = x => nn.functional.gelu(x),
        ["gelu_python"] = x => nn.functional.gelu(x),
        ["gelu_10"] = x => nn.functional.gelu(x).clamp(-10, 10),
        ["gelu_new"] = TanhGelu,
        ["gelu_fast"] = TanhGelu,
        ["gelu_pytorch_tanh"] = TanhGelu,
        ["gelu_accurate"] = TanhGelu,
        ["gelu_python_tanh"] = TanhGelu,
        ["quick_gelu"] = x => x * (x * 1.702).sigmoid(),
    };

    private readonly Func<Tensor, Tensor> function;

    /// <summary>The activation of a name.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="InputException">There is none of that name.</exception>
    public Activation(string name)
    {
        Name = name;
        function = known.TryGetValue(name, out var found)
            ? found
            : throw new InputException($"config.json: the activation is \"{name}\"; known are "
                + $"{string.Join(", ", known.Keys.Select(key => $"\"{key}\""))}. Compare it with the model's published configuration.");
    }

    /// <summary>The names that are known.</summary>
    public static IReadOnlyCollection<string> Names => known.Keys;

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>f(x).</summary>
    /// <param name="x">Any shape.</param>
    public Tensor Forward(Tensor x) => function(x);

    /// <summary>f(gate)·up.</summary>
    /// <param name="gate">The gate.</param>
    /// <param name="up">The gated values, of the same shape.</param>
    public Tensor Gate(Tensor gate, Tensor up) => Name is "silu" or "swish" ? SwiGlu.Of(gate, up) : function(gate) * up;

    // 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) (Hendrycks & Gimpel 2016).
    private static Tensor TanhGelu(Tensor x) => x * 0.5 * (((x * x * 0.044715 + 1) * x * Math.Sqrt(2 / Math.PI)).tanh() + 1);
}
