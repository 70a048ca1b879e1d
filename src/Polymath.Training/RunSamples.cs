using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text.Templates;
using Polymath.Training.Lessons;
using static TorchSharp.torch;

namespace Polymath.Training;

/// <summary>What a model answers to held-out prompts of a stage, for people to read.</summary>
internal static class RunSamples
{
    private const int MostTokens = 128;

    /// <summary>The stage, or the term of a mix, whose prompts are answered; null where only labels are learned.</summary>
    /// <param name="visit">The visit.</param>
    internal static StageSpec? StageOf(StageVisit visit) =>
        visit.Stage.Parts().OrderBy(part => part.Objective is PretrainSpec)
            .FirstOrDefault(part => part.Objective is not (TaskSpec or RewardModelSpec));

    /// <summary>Answers to the first validation rows whose prompts leave room for one; free texts for a stage that reads.</summary>
    /// <param name="materials">The run's data and layout.</param>
    /// <param name="stage">The stage, or the term.</param>
    /// <param name="visit">The name of the visit.</param>
    /// <param name="model">The model.</param>
    /// <param name="count">The number of prompts.</param>
    internal static IReadOnlyList<SampleReport> Of(
        Materials materials,
        StageSpec stage,
        string visit,
        TextModel model,
        int count)
    {
        var settings = new SamplingSettings(
            MaxNewTokens: Math.Min(MostTokens, model.Model.Sizes.ContextLength / 2), Seed: materials.Recipe.Seed);
        using var frozen = no_grad();
        if (stage.Objective is PretrainSpec && model.Model.Reading != Reading.Decoder)
            return Found(
                materials,
                stage,
                visit,
                model,
                count);
        if (stage.Objective is PretrainSpec)
        {
            model.Model.Router?.Expect([.. Enumerable.Repeat(stage.Sources[0], count)]);
            var begin = materials.Contract.Template.Render(new Document("", "")).Tokenize(model.Tokenizer).Ids;
            begin = begin.Length > 1 ? begin[..^1] : begin;
            var texts = new TokenGenerator(model.Model, model.Ends).Generate([.. Enumerable.Repeat(begin, count)], settings);
            return [.. texts.Select(ids => new SampleReport(visit, "", model.Tokenizer.Decode(ids)))];
        }
        var data = materials.Data(stage);
        var rows = data.Rows(DataSplit.Validation).Where(row => model.HasRoomAfter(data.Prompt(row))).Take(count).ToList();
        if (rows.Count == 0) return [];
        List<string> prompts = [.. rows.Select(data.Prompt)];
        model.Model.Router?.Expect([.. rows.Select(row => row.Data)]);
        return
        [
            .. model.Answer(prompts, settings)
                .Select((answer, i) => new SampleReport(visit, prompts[i], model.Tokenizer.Decode(answer.Tokens))),
        ];
    }

    // Held-out rows with hidden words, and the words that the model finds likeliest there, one after the other.
    private static List<SampleReport> Found(
        Materials materials,
        StageSpec stage,
        string visit,
        TextModel model,
        int count)
    {
        var items = new HiddenLesson(stage, model.Model, model.Tokenizer).Measured(
            materials.Data(stage),
            DataSplit.Validation,
            materials.BatchOf(stage) with { MaxLength = Math.Min(MostTokens, materials.LengthOf(stage)) },
            count,
            materials.Recipe.Seed);
        var samples = new List<SampleReport>();
        foreach (var row in items.Select(item => item.Rows[0]))
        {
            using var scope = NewDisposeScope();
            using var batch = model.Model.Lay([row]);
            var guesses = model.Model.Unembed(model.Model.Hidden(batch).index_select(0, batch.Places)).argmax(-1).cpu().data<long>();
            var read = row.Hidden is null ? row.Ids[..Array.FindIndex(row.Learn, weight => weight != 0)] : row.Ids;
            samples.Add(new SampleReport(
                visit,
                model.Tokenizer.Decode(read, skipSpecialTokens: false),
                model.Tokenizer.Decode([.. guesses.ToArray().Select(id => (int)id)], skipSpecialTokens: false)));
        }
        return samples;
    }
}
