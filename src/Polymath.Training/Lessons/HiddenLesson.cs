using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;

namespace Polymath.Training.Lessons;

/// <summary>
/// Reading for models that read in both directions: masked words (BERT, RoBERTa), or spans that are taken out (T5). Σ −log p of what is
/// hidden, counted by token.
/// </summary>
internal sealed class HiddenLesson
{
    private readonly StageSpec stage;
    private readonly LanguageModel model;
    private readonly Tokenizer tokenizer;
    private readonly HiddenWords words;
    private readonly PromptTokens marks;
    private readonly (int[] Open, int[] Close) frame;

    /// <summary>What a stage hides from a model.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <exception cref="InputException">The model has no token for what is hidden, or other models have the settings.</exception>
    internal HiddenLesson(StageSpec stage, LanguageModel model, Tokenizer tokenizer)
    {
        (this.stage, this.model, this.tokenizer, marks) = (stage, model, tokenizer, PromptTokens.Of(tokenizer));
        var spec = ((PretrainSpec)stage.Objective).Mask ?? new MaskSpec();
        Suits(spec);
        var specials = tokenizer.SpecialTokens.Values.ToHashSet();
        words = new HiddenWords(
            spec,
            [
                .. Enumerable.Range(0, tokenizer.VocabularySize)
                    .Where(id => !specials.Contains(id) && tokenizer.TokenOf(id).Length > 0),
            ]);
        frame = LabelledText.FrameOf(tokenizer);
    }

    private void Suits(MaskSpec spec)
    {
        var family = model.Configuration["model_type"];
        if (model.Reading == Reading.Encoder && marks.Mask is null)
            throw new InputException($"Stage {stage.Name}: a {family} reads in both directions and learns masked words, and the tokenizer "
                + "has no mask token. Use the model's own tokenizer, or give it a stage of the kind task.");
        if (model.Reading == Reading.Encoder && spec.Span is not null)
            throw new InputException($"Stage {stage.Name}: mask.span is for models that learn gaps, such as a t5; a {family} learns single "
                + "masked words. Leave it out.");
        if (model.Reading == Reading.EncoderDecoder && marks.Sentinels.Count == 0)
            throw new InputException($"Stage {stage.Name}: a {family} learns what is missing at gaps, and the tokenizer has no token "
                + "<extra_id_0>. Use a T5 with its own tokenizer, or a stage of the kind finetune with prompts and answers.");
        if (model.Reading == Reading.EncoderDecoder && spec is not { Masked: null, Random: null })
            throw new InputException($"Stage {stage.Name}: mask.masked and mask.random are for masked models, such as a bert; a {family} "
                + "learns gaps. Leave them out.");
    }

    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    internal static Lesson Of(LessonContext context)
    {
        var hidden = new HiddenLesson(context.Stage, context.Model.Model, context.Materials.Tokenizer);
        context.Data.Tell(DataSplit.Train, context.Materials.Recipe);
        var made = hidden.Rows(context.Data, context.Data.Rows(DataSplit.Train), context.HeldOutBatch);
        if (made.Items.Count == 0) throw context.Data.NoRows(DataSplit.Train, made.Counts(_ => 0));
        var counts = made.Counts(row => hidden.words.CountOf(row.Learn.Count(weight => weight != 0)));
        context.Note(counts.Told());
        context.NoteRows();
        return new Lesson(
            new NextToken(context.Model.Model.Routers.Exist),
            new HiddenItems(context.Source(made.Items), hidden.Hide, context.Seed, context.Visit),
            hidden.Measured(
                context.Data,
                DataSplit.Validation,
                context.HeldOutBatch,
                context.HeldOutRows,
                context.Seed),
            counts);
    }

    /// <summary>Rows that are only measured; the same words are hidden each time.</summary>
    /// <param name="data">The stage's data.</param>
    /// <param name="split">The part of it.</param>
    /// <param name="batch">The length of rows.</param>
    /// <param name="most">The most rows.</param>
    /// <param name="seed">The run's seed.</param>
    internal IReadOnlyList<Item> Measured(
        StageData data,
        DataSplit split,
        BatchSpec batch,
        int most,
        long seed)
    {
        var rows = data.Rows(split);
        if (rows.Count == 0 || most == 0) return [];
        var items = Rows(data, rows, batch with { MaxCut = 1, Overlong = Kept(batch.Overlong) }).Items;
        return HiddenItems.Fixed(data.Chosen(items, most, seed), Hide, seed, stage.Name);
    }

    private static OverlongPolicy Kept(OverlongPolicy policy) => policy == OverlongPolicy.Refuse ? OverlongPolicy.Cut : policy;

    private FramedRows Rows(StageData data, IReadOnlyList<Row> rows, BatchSpec batch)
    {
        var made = new FramedRows(
            stage,
            batch,
            tokenizer,
            frame);
        foreach (var row in rows) made.Add(row, data.Text(row));
        made.Finish();
        return made;
    }

    /// <summary>A row with words hidden by a stream.</summary>
    /// <param name="row">The row.</param>
    /// <param name="stream">The stream.</param>
    internal TokenRow Hide(TokenRow row, RandomStream stream) => model.Reading == Reading.Encoder
        ? words.Masked(row, marks.Mask!.Value, stream)
        : words.WithGaps(row, marks.Sentinels, frame.Close, stream);
}
