using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>The soft tokens of all prompts of a task, one prompt's after the other's.</summary>
internal sealed class SoftTokens : InlinePrompt
{
    private readonly IReadOnlyList<InlinePrompt> parts;

    private SoftTokens(IReadOnlyList<InlinePrompt> parts) => this.parts = parts;

    /// <summary>The soft tokens of several prompts; null where none has any.</summary>
    internal static InlinePrompt? Of(IReadOnlyList<InlinePrompt> parts) => parts switch
    {
        [] => null,
        [var one] => one,
        _ => new SoftTokens(parts),
    };

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights => [.. parts.SelectMany(part => part.Weights)];

    /// <inheritdoc/>
    public override Tensor Vectors() => cat([.. parts.Select(part => part.Vectors())], 0);

    /// <summary>How many vectors a template's soft tokens have.</summary>
    internal static int Count(PromptTemplate template, SoftEncoder? encoder) =>
        encoder is null ? template.InitialIds.Count : template.SoftTokens.Count;

    /// <summary>
    /// The soft tokens of a template: vectors of the words they start from, or normal random numbers as wide as the model's own vectors;
    /// and an encoder, if there is one.
    /// </summary>
    internal static InlinePrompt Of(
        LanguageModel model,
        PromptTemplate template,
        SoftEncoder? encoder,
        Func<string, Func<Tensor>, Weight> take,
        ulong seed)
    {
        if (encoder is not { } kind) return new MixedPrompt(take("soft_embedding.weight", () => Starts(model, template, seed)));
        Weight Take(string name, long[] shape) => take(name, () => name == "new_embedding.weight"
            ? Starts(model, template, seed)
            : Uniform(new RandomStream((long)seed, name), shape, Bound(name, shape)).to(model.Device));
        return new EncodedPrompt(
            template.SoftTokens.Count,
            (int)model.Tokens.Embedding.Shape[1],
            kind == SoftEncoder.Lstm,
            Take,
            [.. template.SoftTokens.Select(token => token.Id - 1)]);
    }

    // PyTorch's own starts: 1/√(width of the input) for linear maps and their biases, 1/√(inner width) for an LSTM.
    private static double Bound(string name, long[] shape)
    {
        if (name.Contains("lstm", StringComparison.Ordinal)) return 1 / Math.Sqrt(shape[0] / 4.0);
        return 1 / Math.Sqrt(shape[^1]);
    }

    private static Tensor Starts(LanguageModel model, PromptTemplate template, ulong seed)
    {
        var table = model.Tokens.Embedding.Value;
        var spread = table.to(ScalarType.Float32).std().item<float>() * model.Tokens.Scale;
        int width = (int)table.size(1);
        return stack(template.InitialIds.Select((id, i) => id is { } known
            ? model.Tokens.Embed(tensor(new long[] { known }, device: table.device)).squeeze(0)
            : Normal(new RandomStream((long)seed, "soft token", i), width).to(table.device) * spread), 0);
    }

    /// <summary>Normal random numbers.</summary>
    internal static Tensor Normal(RandomStream random, params long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        for (var i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal();
        return tensor(values).view(shape);
    }

    /// <summary>Uniform random numbers between a bound and its negative.</summary>
    internal static Tensor Uniform(RandomStream random, long[] shape, double bound)
    {
        var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        for (var i = 0; i < values.Length; i++) values[i] = (float)(((random.NextDouble() * 2) - 1) * bound);
        return tensor(values).view(shape);
    }
}
