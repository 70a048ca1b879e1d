using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;

namespace Polymath.Tuning.Prompts;

/// <summary>Turns rows into the tokens of a filled prompt, as one model reads it.</summary>
public sealed class PromptReader
{
    private readonly TextModel model;
    private readonly PromptTokens tokens;
    private readonly CutSide cut;
    private readonly Dictionary<int, PromptTokenizer> byLength = [];

    /// <summary>A reader.</summary>
    /// <param name="model">The model.</param>
    /// <param name="template">The template, in the language of recipes.</param>
    /// <param name="cut">Where rows that are too long are cut.</param>
    /// <exception cref="InputException">The template is not well formed, or not one that the model can read.</exception>
    public PromptReader(TextModel model, string template, CutSide cut = CutSide.Tail)
    {
        ArgumentNullException.ThrowIfNull(model);
        (this.model, this.cut, tokens) = (model, cut, PromptTokens.Of(model.Tokenizer));
        Template = PromptTemplate.Written(template, Reading == Reading.Decoder);
        var mask = Template.Blocks.OfType<MaskBlock>().Single();
        InputException Fault(int position, string problem) => new($"The template, at character {position + 1}: {problem}");
        var family = model.Model.Configuration["model_type"];
        if (Reading == Reading.Decoder && Template.Blocks.LastOrDefault(Follows) is { } after && after.Position > mask.Position)
            throw Fault(after.Position, $"text follows {{mask}}, but a {family} reads forward, and what comes after the answer is "
                + "never read. End with {mask}, or use a masked model.");
        if (Reading == Reading.Encoder && tokens.Mask is null)
            throw Fault(mask.Position, $"a {family} reads the answer at its mask token, and the tokenizer has none. Use the model's own "
                + "tokenizer, or leave out the prompt, so that a head over labels is trained.");
        if (Reading == Reading.EncoderDecoder && tokens.Sentinels.Count == 0)
            throw Fault(mask.Position, $"a {family} reads the answer at <extra_id_0>, and the tokenizer has no such token. Use a T5, or "
                + "leave out the prompt, so that a head over labels is trained.");
    }

    /// <summary>The template.</summary>
    public PromptTemplate Template { get; }

    private Reading Reading => model.Model.Reading;

    private static bool Follows(PromptBlock block) => block is not TextBlock text || text.Text.Trim().Length > 0;

    /// <summary>A row's tokens; the answer is read at its <see cref="TokenRow.Answer"/>.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <exception cref="InputException">A field is missing, or what may not be cut is too long.</exception>
    public TokenRow Row(string name, IReadOnlyDictionary<string, string> fields, int most = int.MaxValue)
    {
        var filled = Tokenizer(most).Encode(Template, Example(name, fields));
        var still = new float[filled.Ids.Length];
        return Reading switch
        {
            Reading.Encoder => new TokenRow(filled.Ids, still, name) { Answer = filled.Answers[0] },
            // The decoder reads the gap's token, and gives the answer there.
            Reading.EncoderDecoder => new TokenRow([.. filled.Ids, tokens.Sentinels[0]], [.. still, 1], name),
            _ => new TokenRow(filled.Ids, still, name),
        };
    }

    /// <summary>The parts of a row's prompt with their tokens, and how many of them are cut.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens.</param>
    public IReadOnlyList<PromptPart> Parts(string name, IReadOnlyDictionary<string, string> fields, int most = int.MaxValue) =>
        Tokenizer(most).Show(Template, Example(name, fields));

    /// <summary>Rows that say nothing: each text in the place of every field.</summary>
    /// <param name="texts">The texts; null for no rows.</param>
    public IReadOnlyList<TokenRow> ContentFree(IReadOnlyList<string>? texts) =>
        [.. (texts ?? []).Select(text => Row(
            $"The content-free text '{text}'",
            TemplateFields.OfPrompt(Template.Source).Distinct().ToDictionary(field => field, _ => text),
            Math.Max(1, model.Model.Sizes.ContextLength - model.Model.VirtualTokens)))];

    private static PromptExample Example(string name, IReadOnlyDictionary<string, string> fields) => new(name, fields, fields);

    private PromptTokenizer Tokenizer(int most)
    {
        if (byLength.TryGetValue(most, out var known)) return known;
        var settings = new PromptSettings(most, cut);
        return byLength[most] = Reading switch
        {
            Reading.Encoder => new MaskedPromptTokenizer(model.Tokenizer, tokens, settings),
            Reading.EncoderDecoder => new SpanPromptTokenizer(model.Tokenizer, tokens, settings with { MaxLength = most - 1 }),
            _ => new DecoderPromptTokenizer(
                model.Tokenizer, tokens, settings with { Opening = model.Contract.Template.OpeningIds(model.Tokenizer) }),
        };
    }
}
