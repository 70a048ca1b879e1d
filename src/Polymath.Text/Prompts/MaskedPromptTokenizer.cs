using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>Prompts for masked models such as BERT: each answer is read where its mask token stands.</summary>
public sealed class MaskedPromptTokenizer : PromptTokenizer
{
    /// <summary>A tokenizer of prompts.</summary>
    /// <param name="tokenizer">The tokenizer of text.</param>
    /// <param name="tokens">Its special tokens.</param>
    /// <param name="settings">The settings; answers cannot be filled in.</param>
    /// <exception cref="InputException">The settings ask for filled answers.</exception>
    public MaskedPromptTokenizer(Tokenizer tokenizer, PromptTokens tokens, PromptSettings settings)
        : base(tokenizer, tokens, settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        if (settings.FillsAnswers)
            throw new InputException("A masked model reads one token at a mask; answers cannot be filled in for training. Use a decoder.");
    }

    /// <inheritdoc/>
    protected override int[] AnswerIds(PromptPiece piece, PromptExample example) => IdsOf(piece);

    /// <inheritdoc/>
    public override PromptRow Encode(IReadOnlyList<PromptPiece> pieces, PromptExample example)
    {
        ArgumentNullException.ThrowIfNull(example);
        var (kept, cut) = Fit([.. pieces.Select(piece => Part.Of(piece, IdsOf(piece)))], example);
        var (ids, soft, loss) = Join(kept, example);
        return new(
            ids,
            soft,
            loss,
            null,
            Places(loss),
            [.. (example.Targets ?? []).Select(Text.EncodePlain)],
            cut);
    }
}
