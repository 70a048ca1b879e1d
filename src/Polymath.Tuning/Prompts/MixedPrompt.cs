using Polymath.Models;
using Polymath.Text;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// A mixed template's soft tokens (Ding et al. 2022): a learned vector for each number, which starts from a word's vector or from random
/// numbers.
/// </summary>
/// <param name="vectors">The vectors [n, width]; number i has row i − 1.</param>
public sealed class MixedPrompt(Weight vectors) : InlinePrompt
{
    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; } = [vectors];

    /// <inheritdoc/>
    public override Tensor Vectors() => vectors.Value;

    /// <summary>Fresh vectors for a template: those of the words it names, or standard normal numbers.</summary>
    /// <param name="model">The model.</param>
    /// <param name="template">The template.</param>
    /// <param name="seed">The run's seed.</param>
    public static MixedPrompt Fresh(LanguageModel model, PromptTemplate template, long seed)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(template);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var table = model.Tokens.Embedding.Value;
        var rows = template.InitialIds.Select((id, i) => id is { } known
            ? table[known].to(ScalarType.Float32)
            : tensor(Normal(new RandomStream(seed, "soft token", i), (int)table.size(1)), device: table.device)).ToList();
        return new(new Weight("soft_embedding.weight", stack(rows, 0).DetachFromDisposeScope()) { Trainable = true });
    }

    private static float[] Normal(RandomStream random, int count)
    {
        var values = new float[count];
        for (var i = 0; i < count; i++) values[i] = (float)random.NextNormal();
        return values;
    }
}
