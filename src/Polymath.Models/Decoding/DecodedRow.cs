using Polymath.Tensors.Kernels;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Models.Decoding;

/// <summary>The answer that grows in a slot of a <see cref="Decoder"/>.</summary>
/// <param name="request">What is asked for.</param>
/// <param name="slot">The slot.</param>
/// <param name="order">The number of the row among all that were admitted.</param>
/// <param name="limit">The most tokens.</param>
/// <param name="continued">The tokens that the answer continues.</param>
internal sealed class DecodedRow(
    DecodeRequest request,
    int slot,
    long order,
    int limit,
    int[] continued)
{
    private RandomStream random = new(request.Settings.Seed, "sampling", request.Stream);

    /// <summary>What is asked for.</summary>
    internal DecodeRequest Request => request;

    /// <summary>The slot.</summary>
    internal int Slot => slot;

    /// <summary>The number of the row among all that were admitted.</summary>
    internal long Order => order;

    /// <summary>The answer's tokens so far, without the one that ends it.</summary>
    internal List<int> Tokens { get; } = [];

    /// <summary>log π of each token, and of the one that ended the answer.</summary>
    internal List<float> Scores { get; } = [];

    /// <summary>The token that ended the answer, or null.</summary>
    internal int? End { get; private set; }

    /// <summary>Whether the answer is complete.</summary>
    internal bool Ended => End is not null || Tokens.Count >= limit;

    /// <summary>Whether tokens that occurred before are less probable.</summary>
    internal bool IsPenalised => request.Settings.RepetitionPenalty != 1 || request.Settings.PresencePenalty != 0;

    /// <summary>How the next token is chosen; takes a number of the row's stream where it is drawn.</summary>
    internal ChoiceRule NextRule()
    {
        var settings = request.Settings;
        var rule = new ChoiceRule(
            settings.Temperature,
            settings.TopK,
            settings.TopP,
            settings.MinP,
            Scores: request.Scored);
        return rule.IsGreedy ? rule : rule with { Draw = random.NextDouble() };
    }

    /// <summary>Changes the row's logits for its penalties.</summary>
    /// <param name="logits">The logits [rows, vocabulary], contiguous 32-bit floats on the CPU.</param>
    /// <param name="row">The row of the logits.</param>
    internal void Penalise(Tensor logits, int row)
    {
        if (!IsPenalised) return;
        var values = TokenChoice.Row(logits, row);
        Penalties.Apply(values, continued, Tokens, request.Settings);
        GC.KeepAlive(logits);
    }

    /// <summary>Adds a token, or ends the answer with it.</summary>
    /// <param name="token">The token.</param>
    /// <param name="score">Its log-probability.</param>
    internal void Take(int token, float score)
    {
        Scores.Add(score);
        if (request.Ends.Contains(token)) End = token;
        else Tokens.Add(token);
    }
}
