using Polymath.Recipes;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// Reads labels from the language-model head (Schick &amp; Schütze 2021): each label has words, the first token of a word is read, and a
/// label's score is the mean of its words' logits.
/// </summary>
public sealed class Verbalizer
{
    private readonly long[] tokens;
    private readonly int[][] columns;
    private readonly List<string> shortened = [];

    /// <summary>A verbalizer for a tokenizer.</summary>
    /// <param name="labels">The labels, in order.</param>
    /// <param name="words">The words of each label; a missing label stands for itself.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">A word has no token, or two labels share one.</exception>
    public Verbalizer(IReadOnlyList<string> labels, IReadOnlyDictionary<string, IReadOnlyList<string>>? words, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(tokenizer);
        Labels = labels;
        foreach (var label in words?.Keys ?? [])
            if (!labels.Contains(label))
                throw new InputException($"The verbalizer has words for '{label}', which is not a label of the data; labels are "
                    + $"{string.Join(", ", labels)}.");
        var all = new List<long>();
        var owners = new Dictionary<int, string>();
        columns = new int[labels.Count][];
        for (var i = 0; i < labels.Count; i++)
        {
            var own = new List<int>();
            foreach (var word in words?.GetValueOrDefault(labels[i]) ?? [labels[i]])
            {
                var ids = tokenizer.EncodePlain(word);
                if (ids.Length == 0)
                    throw new InputException($"The word '{word}' of the label '{labels[i]}' has no token. Give another word.");
                if (ids.Length > 1)
                    shortened.Add($"'{word}' is read by its first token '{tokenizer.TokenOf(ids[0])}' of {ids.Length}");
                if (owners.TryGetValue(ids[0], out var owner) && owner != labels[i])
                    throw new InputException($"The words of '{owner}' and '{labels[i]}' begin with the same token, "
                        + $"'{tokenizer.TokenOf(ids[0])}'. Give words that differ in their first token, under verbalizer.words.");
                if (!owners.TryAdd(ids[0], labels[i])) continue;
                own.Add(all.Count);
                all.Add(ids[0]);
            }
            columns[i] = [.. own];
        }
        tokens = [.. all];
    }

    /// <summary>The words of several tokens, which are read by their first, as sentences.</summary>
    public IReadOnlyList<string> Shortened => shortened;

    /// <summary>The labels, in order.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>The first token of a label's first word, which is the target.</summary>
    /// <param name="label">The label's number.</param>
    public int TokenOf(int label) => (int)tokens[columns[label][0]];

    /// <summary>The tokens of all words, each once; their logits are needed.</summary>
    public IReadOnlyList<long> Tokens => tokens;

    /// <summary>The label scores [n, labels] at the answers' places.</summary>
    /// <param name="logits">The logits [n, words] of <see cref="Tokens"/>.</param>
    public Tensor Scores(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        if (Array.TrueForAll(columns, column => column.Length == 1)) return logits;
        return stack(
            columns.Select(
                column => logits.index_select(1, tensor(Array.ConvertAll(column, c => (long)c), device: logits.device)).mean([1])),
            1);
    }
}
