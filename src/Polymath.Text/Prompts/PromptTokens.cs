using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>The special tokens of a model by their purpose; null where it has none.</summary>
/// <param name="Mask">Where a masked model reads an answer.</param>
/// <param name="Start">The class token at the start (<c>cls</c>).</param>
/// <param name="Separator">Between two texts (<c>sep</c>).</param>
/// <param name="Padding">The padding token.</param>
/// <param name="End">The end of a text (<c>eos</c>).</param>
/// <param name="Begin">The start of a text (<c>bos</c>).</param>
/// <param name="Sentinels">The gaps of an encoder-decoder, <c>&lt;extra_id_0&gt;</c> and so on, in order.</param>
public sealed record PromptTokens(
    int? Mask,
    int? Start,
    int? Separator,
    int? Padding,
    int? End,
    int? Begin,
    IReadOnlyList<int> Sentinels)
{
    /// <summary>The special tokens of a tokenizer, by the names that published ones have.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    public static PromptTokens Of(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        int? Named(params string[] names) => names.Where(tokenizer.SpecialTokens.ContainsKey)
            .Select(name => (int?)tokenizer.SpecialTokens[name]).FirstOrDefault();
        return new(
            Named("[MASK]", "<mask>"),
            Named("[CLS]", "<s>"),
            Named("[SEP]", "</s>"),
            Named("[PAD]", "<pad>", "<|pad|>"),
            Named("</s>", "<|endoftext|>", "<|end|>", "<|im_end|>", "<eos>"),
            Named("<s>", "<bos>", "<|begin|>", "<|begin_of_text|>"),
            [.. Enumerable.Range(0, 100).Select(i => tokenizer.IdOf($"<extra_id_{i}>")).TakeWhile(id => id is not null)
                .Select(id => id!.Value)]);
    }

    private static readonly string[] names = ["<mask>", "<cls>", "<sep>", "<pad>", "<eos>", "<bos>"];

    /// <summary>Whether a text is the name of a purpose.</summary>
    internal static bool IsName(string text) => names.Contains(text);

    /// <summary>The token that a template's name stands for.</summary>
    /// <exception cref="InputException">The model has no such token.</exception>
    internal int Named(string name, int position)
    {
        var id = name switch
        {
            "<mask>" => Mask,
            "<cls>" => Start,
            "<sep>" => Separator,
            "<pad>" => Padding,
            "<eos>" => End,
            _ => Begin,
        };
        return id ?? throw new InputException($"The template, at character {position + 1}: the tokenizer has no {name} token. Leave "
            + "it out.");
    }

    /// <summary>The token of a gap.</summary>
    /// <exception cref="InputException">There are more masks than gaps.</exception>
    internal int Sentinel(int mask, int position) => mask < Sentinels.Count
        ? Sentinels[mask]
        : throw new InputException($"The template, at character {position + 1}: this is mask {mask + 1}, but the tokenizer has only "
            + $"{Sentinels.Count} tokens such as <extra_id_0>. Write fewer masks.");
}
