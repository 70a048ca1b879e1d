using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>How the tokens of one word become one number.</summary>
public enum WordReading
{
    /// <summary>The logit of its first token.</summary>
    First,

    /// <summary>The largest logit of its tokens.</summary>
    Max,

    /// <summary>The mean of its tokens' logits.</summary>
    Mean,
}

/// <summary>
/// The tokens of all labels' words as tensors, and the logits of words: C labels with at most W words of at most P tokens each, filled up
/// with masks.
/// </summary>
public sealed class WordTable : IDisposable
{
    // A place without a word or a token gets this much less.
    private const double Absent = 10000, AbsentPiece = 1000;

    private readonly Tensor ids, pieces, words;
    private readonly long[] shape;
    private readonly WordReading reading;

    /// <summary>A table.</summary>
    /// <param name="labels">The words.</param>
    /// <param name="reading">How a word of several tokens is read.</param>
    public WordTable(LabelWords labels, WordReading reading = WordReading.First)
    {
        ArgumentNullException.ThrowIfNull(labels);
        (Labels, this.reading) = (labels, reading);
        int count = labels.Ids.Max(label => label.Count), length = labels.Ids.Max(label => label.Max(word => word.Length));
        shape = [labels.Ids.Count, count, length];
        var flat = new long[shape[0] * count * length];
        var held = new float[flat.Length];
        for (var label = 0; label < labels.Ids.Count; label++)
            for (var word = 0; word < labels.Ids[label].Count; word++)
                for (var piece = 0; piece < labels.Ids[label][word].Length; piece++)
                {
                    var at = (((label * count) + word) * length) + piece;
                    (flat[at], held[at]) = (labels.Ids[label][word][piece], 1);
                }
        using var scope = NewDisposeScope();
        ids = tensor(flat).MoveToOuterDisposeScope().DetachFromDisposeScope();
        pieces = tensor(held).view(shape).DetachFromDisposeScope();
        words = pieces.sum(-1).clamp(max: 1).DetachFromDisposeScope();
    }

    /// <summary>The words.</summary>
    public LabelWords Labels { get; }

    /// <summary>1 where a label has a word, else 0: [C, W].</summary>
    public Tensor Mask => words;

    /// <summary>The logits of words [n, C, W] from logits of the vocabulary [n, V]; 10000 less where a label has no further word.</summary>
    /// <param name="logits">The logits.</param>
    public Tensor Project(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        var all = logits.index_select(1, ids.to(logits.device)).view([logits.size(0), .. shape]);                 // [n, C, W, P]
        var mask = pieces.to(logits.device);
        var read = reading switch
        {
            WordReading.First => all.select(-1, 0),
            WordReading.Max => (all - AbsentPiece * (1 - mask)).amax([-1]),
            _ => (all * mask).sum(-1) / (mask.sum(-1) + 1e-15),
        };
        return read - Absent * (1 - words.to(logits.device));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ids.Dispose();
        pieces.Dispose();
        words.Dispose();
    }
}
