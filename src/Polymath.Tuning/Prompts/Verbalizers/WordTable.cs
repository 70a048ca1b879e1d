using Polymath.Recipes;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// The tokens of all labels' words as tensors, and the logits of words: C labels with at most W words of at most P tokens each, filled up
/// with masks.
/// </summary>
public sealed class WordTable : IDisposable
{
    // A place without a word or a token gets this much less.
    private const double Absent = 10000, AbsentPiece = 1000;

    private readonly Tensor ids, columns, pieces, words;
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
        Tokens =
        [
            .. labels.Ids.SelectMany(label => label).SelectMany(word => reading == WordReading.First ? word[..1] : word)
                .Select(id => (long)id).Distinct(),
        ];
        var places = Tokens.Select((id, i) => (id, i)).ToDictionary(pair => pair.id, pair => (long)pair.i);
        ids = tensor(flat).MoveToOuterDisposeScope().DetachFromDisposeScope();
        // Places that are filled up, or not read, have any token.
        columns = tensor(Array.ConvertAll(flat, id => places.GetValueOrDefault(id))).DetachFromDisposeScope();
        pieces = tensor(held).view(shape).DetachFromDisposeScope();
        words = pieces.sum(-1).clamp(max: 1).DetachFromDisposeScope();
    }

    /// <summary>The words.</summary>
    public LabelWords Labels { get; }

    /// <summary>The tokens of all words that are read, each once: no other logits are needed.</summary>
    public IReadOnlyList<long> Tokens { get; }

    /// <summary>1 where a label has a word, else 0: [C, W].</summary>
    public Tensor Mask => words;

    /// <summary>The logits of words [n, C, W] from logits of the vocabulary [n, V]; 10000 less where a label has no further word.</summary>
    /// <param name="logits">The logits.</param>
    public Tensor Project(Tensor logits) => Project(logits, ids);

    /// <summary>The logits of words [n, C, W] from logits [n, tokens] of <see cref="Tokens"/>.</summary>
    /// <param name="logits">The logits.</param>
    public Tensor ProjectTokens(Tensor logits) => Project(logits, columns);

    private Tensor Project(Tensor logits, Tensor read)
    {
        ArgumentNullException.ThrowIfNull(logits);
        var all = logits.index_select(1, read.to(logits.device)).view([logits.size(0), .. shape]);                 // [n, C, W, P]
        var mask = pieces.to(logits.device);
        var each = reading switch
        {
            WordReading.First => all.select(-1, 0),
            WordReading.Max => (all - AbsentPiece * (1 - mask)).amax([-1]),
            _ => (all * mask).sum(-1) / (mask.sum(-1) + 1e-15),
        };
        return each - Absent * (1 - words.to(logits.device));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ids.Dispose();
        columns.Dispose();
        pieces.Dispose();
        words.Dispose();
    }
}
