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
    private readonly int firstSoft;
    private readonly SoftEncoder? encoder;
    private readonly Dictionary<int, PromptTokenizer> byLength = [];

    /// <summary>A reader.</summary>
    /// <param name="model">The model.</param>
    /// <param name="ask">The template, in the language of recipes, and where rows that are too long are cut.</param>
    /// <param name="answers">How many answers are read.</param>
    /// <param name="firstSoft">The number of its first soft token among those of all prompts, from 0.</param>
    /// <exception cref="InputException">The template is not well formed, or not one that the model can read.</exception>
    public PromptReader(
        TextModel model,
        AskSpec ask,
        int answers = 1,
        int firstSoft = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ask);
        (this.model, cut, encoder, tokens) = (model, ask.Cut ?? CutSide.Tail, ask.Encoder, PromptTokens.Of(model.Tokenizer));
        (this.firstSoft, Answers) = (firstSoft, answers);
        Template = PromptTemplate.Written(
            ask.Template,
            Reading == Reading.Decoder,
            model.Tokenizer,
            answers,
            ask.Whole);
        Suits(Template.Blocks.OfType<MaskBlock>().First());
    }

    private static InputException Fault(int position, string problem) => new($"The template, at character {position + 1}: {problem}");

    private void Suits(MaskBlock mask)
    {
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
        if (encoder is not null && Template.SoftTokens.Count == 0)
            throw Fault(0, "there is no soft token for the encoder. Write {soft} where one should stand, or leave out 'encoder'.");
        if (encoder is not null && Template.Blocks.OfType<SoftBlock>().FirstOrDefault(block => block.MayBeCut) is { } cuts)
            throw Fault(cuts.Position, "soft tokens that an encoder connects are never cut. Leave out shortenable.");
    }

    /// <summary>How many answers are read.</summary>
    public int Answers { get; }

    /// <summary>How many soft tokens it numbers.</summary>
    public int SoftCount => SoftTokens.Count(Template, encoder);

    /// <summary>The template.</summary>
    public PromptTemplate Template { get; }

    private Reading Reading => model.Model.Reading;

    private static bool Follows(PromptBlock block) => block is not TextBlock text || text.Text.Trim().Length > 0;

    /// <summary>A row's tokens; the answers are read at its <see cref="TokenRow.Answers"/>.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <param name="lead">Tokens before the prompt.</param>
    /// <exception cref="InputException">A field is missing, or what may not be cut is too long.</exception>
    public TokenRow Row(
        string name,
        IReadOnlyDictionary<string, string> fields,
        int most = int.MaxValue,
        IReadOnlyList<int>? lead = null)
    {
        var filled = Tokenizer(most).Encode(Template, Example(name, fields, lead));
        var ids = Ids(filled);
        var still = new float[ids.Length];
        if (Reading == Reading.Encoder) return new TokenRow(ids, still, name) { Answers = filled.Answers };
        if (Reading == Reading.Decoder) return new TokenRow(ids, still, name);
        // The decoder reads the gaps' tokens, and gives the answers there.
        int[] gaps = [.. tokens.Sentinels.Take(filled.Answers.Length)];
        return new TokenRow([.. ids, .. gaps], [.. still, .. gaps.Select(_ => 1f)], name)
        {
            Answers = [.. gaps.Select((_, i) => ids.Length + i)],
        };
    }

    /// <summary>Refuses texts as answers where a model cannot write them.</summary>
    /// <param name="texts">The texts.</param>
    internal void TakesTexts(IEnumerable<string> texts)
    {
        if (Reading == Reading.Encoder)
            throw new InputException($"a {model.Model.Configuration["model_type"]} reads one token at a mask and writes no texts. Write "
                + "verbalizer: {words: {LABEL: WORD}}, or use a model that writes.");
        foreach (var text in texts.Where(text => model.Tokenizer.EncodePlain(text).Length == 0))
            throw new InputException($"The text '{text}' of a label has no token. Give another text.");
    }

    /// <summary>A row that a text has answered; behind each of its <see cref="TokenRow.Answers"/> stands a token of the text.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="text">The answer.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <param name="lead">Tokens before the prompt.</param>
    internal TokenRow Answered(
        string name,
        IReadOnlyDictionary<string, string> fields,
        string text,
        int most,
        IReadOnlyList<int>? lead)
    {
        var answer = model.Tokenizer.EncodePlain(text);
        var row = Row(name, fields, most == int.MaxValue ? most : most - answer.Length, lead);
        return new TokenRow([.. row.Ids, .. answer], [.. row.Learn, .. answer.Select(_ => 1f)], name)
        {
            Answers = [.. answer.Select((_, i) => row.Length - 1 + i)],
        };
    }

    /// <summary>
    /// A row that a text has answered and ended, as it is learned: behind each of its <see cref="TokenRow.Answers"/> stands a token of the
    /// text, or its end. Where the template has no space before the answer, one belongs to the answer, except of scripts without spaces.
    /// </summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="text">The answer; its end is cut off where it is too long.</param>
    /// <param name="most">The most tokens; fields are cut where there are more.</param>
    /// <param name="written">The most tokens of the answer.</param>
    internal TokenRow Finished(
        string name,
        IReadOnlyDictionary<string, string> fields,
        string text,
        int most,
        int written)
    {
        var before = Template.Blocks.TakeWhile(block => block is not MaskBlock).LastOrDefault() is TextBlock words
            && words.Text.EndsWith(' ');
        var answer = model.Tokenizer.EncodePlain(before || text.Length == 0 || text[0] > '\u2e7f' ? text : " " + text);
        int? end = Reading == Reading.EncoderDecoder && tokens.Sentinels.Count > 1
            ? tokens.Sentinels[1]
            : tokens.End ?? model.Ends.Select(id => (int?)id).FirstOrDefault();
        int[] learned = answer.Length >= written || end is null ? answer[..Math.Min(answer.Length, written)] : [.. answer, end.Value];
        if (learned.Length == 0) throw new InputException($"{name} has an answer without a token. Correct the row.");
        var row = Row(name, fields, most == int.MaxValue ? most : most - written);
        return new TokenRow([.. row.Ids, .. learned], [.. row.Learn, .. learned.Select(_ => 1f)], name)
        {
            Answers = [.. learned.Select((_, i) => row.Length - 1 + i)],
        };
    }

    /// <summary>The tokens of a row with its answers, as a demonstration; null where it does not fit.</summary>
    /// <param name="fields">Its fields.</param>
    /// <param name="answers">The text at each mask.</param>
    /// <param name="most">The most tokens.</param>
    internal IReadOnlyList<int>? Demonstration(
        IReadOnlyDictionary<string, string> fields,
        IReadOnlyList<string> answers,
        int most)
    {
        if (most < 1) return null;
        var example = Example("A demonstration", fields);
        var next = 0;
        List<PromptPiece> pieces = [.. Template.Wrap(example).Select(piece => piece.Kind == PieceKind.Answer
            ? piece with { Kind = PieceKind.Given, Text = answers[Math.Min(next++, answers.Count - 1)], MayBeCut = false }
            : piece)];
        try
        {
            return Ids(new DecoderPromptTokenizer(model.Tokenizer, tokens, new PromptSettings(most, cut, Opening: [])).Encode(
                pieces, example));
        }
        catch (InputException)
        {
            return null;
        }
    }

    private int[] Ids(PromptRow filled)
    {
        var ids = (int[])filled.Ids.Clone();
        var seen = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            if (filled.SoftIds[i] == 0) continue;
            ids[i] = model.Model.Tokens.InlineStart + firstSoft + (encoder is null ? filled.SoftIds[i] - 1 : seen++);
        }
        return ids;
    }

    /// <summary>The parts of a row's prompt with their tokens, and how many of them are cut.</summary>
    /// <param name="name">The row's name in messages.</param>
    /// <param name="fields">Its fields.</param>
    /// <param name="most">The most tokens.</param>
    /// <param name="lead">Tokens before the prompt.</param>
    public IReadOnlyList<PromptPart> Parts(
        string name,
        IReadOnlyDictionary<string, string> fields,
        int most = int.MaxValue,
        IReadOnlyList<int>? lead = null) => Tokenizer(most).Show(Template, Example(name, fields, lead));

    /// <summary>Rows that say nothing: each text in the place of every field.</summary>
    /// <param name="texts">The texts; null for no rows.</param>
    public IReadOnlyList<TokenRow> ContentFree(IReadOnlyList<string>? texts) =>
        [.. (texts ?? []).Select(text => Row(
            $"The content-free text '{text}'",
            TemplateFields.OfPrompt(Template.Source).Distinct().ToDictionary(field => field, _ => text),
            Math.Max(1, model.Model.Sizes.ContextLength - model.Model.VirtualTokens)))];

    private static PromptExample Example(string name, IReadOnlyDictionary<string, string> fields, IReadOnlyList<int>? lead = null) =>
        new(name, fields, fields) { Lead = lead ?? [] };

    private int Gaps => Template.Blocks.OfType<MaskBlock>().Count();

    private PromptTokenizer Tokenizer(int most)
    {
        if (byLength.TryGetValue(most, out var known)) return known;
        var settings = new PromptSettings(most, cut);
        return byLength[most] = Reading switch
        {
            Reading.Encoder => new MaskedPromptTokenizer(model.Tokenizer, tokens, settings),
            Reading.EncoderDecoder => new SpanPromptTokenizer(model.Tokenizer, tokens, settings with { MaxLength = most - Gaps }),
            _ => new DecoderPromptTokenizer(
                model.Tokenizer, tokens, settings with { Opening = model.Contract.Template.OpeningIds(model.Tokenizer) }),
        };
    }
}
