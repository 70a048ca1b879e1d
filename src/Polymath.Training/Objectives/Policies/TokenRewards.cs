using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// The rewards that PPO gives to places (Ziegler et al. 2019, eq. 2): −β·KL at each token, and the score of the whole answer at its
/// last place. An answer that ended by itself has one more place than tokens, behind its end, where the value of the finished answer
/// stands: its score stands there. An answer that was cut off has its score on its last token. Nothing here needs more than a row.
/// </summary>
public static class TokenRewards
{
    /// <summary>The layout of places: one more than tokens for rows that ended.</summary>
    /// <param name="tokens">The layout of tokens.</param>
    /// <param name="ended">Whether each row ended by itself.</param>
    /// <param name="device">Where the values lie; null for the CPU.</param>
    public static RowLayout Places(RowLayout tokens, IReadOnlyList<bool> ended, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return new RowLayout([.. tokens.Lengths.Select((length, row) => ended[row] ? length + 1 : length)], device);
    }

    /// <summary>The rewards of places.</summary>
    /// <param name="kl">KL at each token, without a gradient.</param>
    /// <param name="coefficient">β.</param>
    /// <param name="scores">The score of each row [rows].</param>
    /// <param name="places">The layout of places.</param>
    public static TokenValues Of(TokenValues kl, double coefficient, Tensor scores, RowLayout places)
    {
        ArgumentNullException.ThrowIfNull(kl);
        ArgumentNullException.ThrowIfNull(places);
        var each = zeros(places.Tokens, dtype: kl.Each.dtype, device: kl.Each.device);
        each = each.index_add(0, TokenPlaces(kl.Rows, places, kl.Each.device), kl.Each, -coefficient);
        var last = new long[places.Rows];
        var end = 0L;
        for (var row = 0; row < last.Length; row++) last[row] = (end += places.Lengths[row]) - 1;
        return new TokenValues(each.index_add(0, tensor(last, device: kl.Each.device), scores, 1), places);
    }

    /// <summary>The place of each token [tokens], 64-bit: what to take of advantages for the policy's loss.</summary>
    /// <param name="tokens">The layout of tokens.</param>
    /// <param name="places">The layout of places.</param>
    /// <param name="device">Where the values lie; null for the CPU.</param>
    public static Tensor TokenPlaces(RowLayout tokens, RowLayout places, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(places);
        var taken = new List<long>();
        var begin = 0L;
        for (var row = 0; row < tokens.Rows; row++)
        {
            for (var i = 0; i < tokens.Lengths[row]; i++) taken.Add(begin + i);
            begin += places.Lengths[row];
        }
        return tensor(taken.ToArray(), device: device);
    }

    /// <summary>Scores with a penalty for answers that did not end by themselves [rows].</summary>
    /// <param name="scores">The scores [rows].</param>
    /// <param name="ended">Whether each row ended [rows], Boolean.</param>
    /// <param name="penalty">What is subtracted.</param>
    public static Tensor Penalized(Tensor scores, Tensor ended, double penalty)
    {
        ArgumentNullException.ThrowIfNull(scores);
        return where(ended, scores, scores - penalty);
    }
}
