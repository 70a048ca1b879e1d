using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text.Templates;
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

    /// <summary>Answers to the first validation rows; free texts for a stage that reads.</summary>
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
        if (stage.Objective is PretrainSpec)
        {
            model.Model.Router?.Expect([.. Enumerable.Repeat(stage.Sources[0], count)]);
            var begin = materials.Contract.Template.Render(new Document("", "")).Tokenize(model.Tokenizer).Ids;
            begin = begin.Length > 1 ? begin[..^1] : begin;
            var texts = new TokenGenerator(model.Model, model.Ends).Generate([.. Enumerable.Repeat(begin, count)], settings);
            return [.. texts.Select(ids => new SampleReport(visit, "", model.Tokenizer.Decode(ids)))];
        }
        var data = materials.Data(stage);
        var rows = data.Rows(DataSplit.Validation).Take(count).ToList();
        List<string> prompts = [.. rows.Select(data.Prompt)];
        model.Model.Router?.Expect([.. rows.Select(row => row.Data)]);
        return
        [
            .. model.Answer(prompts, settings)
                .Select((answer, i) => new SampleReport(visit, prompts[i], model.Tokenizer.Decode(answer.Tokens))),
        ];
    }
}
