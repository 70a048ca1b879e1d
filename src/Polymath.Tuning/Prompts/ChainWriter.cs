using Polymath.Models;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// Writes the answers to a question that has no labels: the most probable token at each place, up to an end token, the end of a line, or a
/// number of tokens. The rows are read anew for each token, so that decoders and encoder-decoders, which answer behind a gap's token, are
/// asked in the same way as in training.
/// </summary>
/// <param name="tokenizer">The tokenizer.</param>
/// <param name="ends">The tokens that end an answer.</param>
/// <param name="most">The most tokens of an answer.</param>
internal sealed class ChainWriter(Tokenizer tokenizer, HashSet<int> ends, int most)
{
    /// <summary>An answer for each row.</summary>
    /// <param name="network">The model, with the soft tokens' vectors.</param>
    /// <param name="rows">The rows up to where the answer begins.</param>
    internal IReadOnlyList<string> Write(LanguageModel network, IReadOnlyList<TokenRow> rows)
    {
        List<int>[] written = [.. rows.Select(_ => new List<int>())];
        List<int> going = [.. Enumerable.Range(0, rows.Count)];
        for (var step = 0; step < most && going.Count > 0; step++)
        {
            var next = Next(network, [.. going.Select(i => With(rows[i], written[i]))]);
            var still = new List<int>();
            foreach (var (i, token) in going.Zip(next))
            {
                if (ends.Contains((int)token)) continue;
                written[i].Add((int)token);
                if (!tokenizer.Decode([.. written[i]]).TrimStart().Contains('\n', StringComparison.Ordinal)) still.Add(i);
            }
            going = still;
        }
        return [.. written.Select(ids => ids.Count == 0 ? "" : tokenizer.Decode([.. ids]).Trim().Split('\n')[0].TrimEnd())];
    }

    private static TokenRow With(TokenRow row, IReadOnlyList<int> tokens) => row with
    {
        Ids = [.. row.Ids, .. tokens],
        Learn = [.. row.Learn, .. tokens.Select(_ => 1f)],
        Answers = null,
    };

    private static long[] Next(LanguageModel network, IReadOnlyList<TokenRow> rows)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = network.Lay(rows);
        var last = AskedStates.Of(network.Hidden(batch), batch, [.. rows.Select((row, at) => (row, at))]).select(1, 0);
        return network.Unembed(last).argmax(-1).cpu().data<long>().ToArray();
    }
}
