using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Spans;
using Polymath.Training.Lessons;
using Polymath.Training.Objectives;
using Polymath.Training.Rewards;
using Polymath.Training.Stages;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Training.Evaluation;

/// <summary>
/// Measures a model's abilities as a recipe declares them. Rows and random streams depend only on the recipe, so that all measurements are
/// comparable.
/// </summary>
/// <param name="materials">The run's data and rewards.</param>
public sealed class AbilityMeter(Materials materials)
{
    private const int ChainTexts = 16;

    private readonly Dictionary<string, object> prepared = new(StringComparer.Ordinal);

    /// <summary>Measures what several finished stages say together.</summary>
    public EnsembleMeter Ensembles { get; } = new(materials);

    /// <summary>
    /// Whether a model has the head that an ability needs: a head over labels when the ability's stage trains one, else a head over words.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="name">The ability.</param>
    public bool Measures(LanguageModel model, string name)
    {
        ArgumentNullException.ThrowIfNull(model);
        var ability = materials.Recipe.Abilities![name];
        if (ability is EnsembleAbility several) return Ensembles.Measures(several);
        if (ability.StageName is not { } stage) return model.Labels is null;
        return materials.Stage(stage).TrainsHead == model.Labels is not null
            && (ability is not RewardAbility reward || materials.Rewards.Has(reward.Reward));
    }

    /// <summary>The values of some abilities; those for which the model has no head are left out.</summary>
    /// <param name="model">The model.</param>
    /// <param name="names">The abilities.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    public IReadOnlyDictionary<string, double> Measure(TextModel model, IEnumerable<string> names, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(names);
        using var frozen = no_grad();
        // Several abilities use the same answers.
        var answers = new Dictionary<(string, int, double, int, DataSplit), IReadOnlyList<(Row Row, string Answer)>>();
        IReadOnlyList<(Row Row, string Answer)> Answers(
            string stage,
            int rows,
            double temperature,
            int length,
            DataSplit split)
        {
            var key = (stage, rows, temperature, length, split);
            if (!answers.TryGetValue(key, out var given))
                answers[key] = given = Generate(
                    model,
                    stage,
                    rows,
                    temperature,
                    length,
                    split,
                    cancellation);
            return given;
        }
        // Abilities that differ in their score alone share the likelihoods.
        var likelihoods = new Dictionary<string, IReadOnlyList<IReadOnlyList<ChoiceLikelihood>>>();
        var values = new Dictionary<string, double>();
        foreach (var name in names.Where(name => Measures(model.Model, name)))
            values[name] = materials.Recipe.Abilities![name] switch
            {
                PerplexityAbility spec => Perplexity(model.Model, Prepared(name, () => Read(spec, model.Model))),
                AccuracyAbility { Figure: LabelFigure.EntityF1 } spec => Entities(spec, model, cancellation),
                AccuracyAbility spec => LabelFigures.Of(
                    spec.Figure,
                    materials.Stage(spec.Stage).Method is PromptMethod { Chain: not null }
                        ? Chained(spec, model, cancellation)
                        : Guesses(model.Model, Task(name, spec, model))),
                RewardAbility spec => MeanReward(
                    spec,
                    Answers(
                        spec.Stage,
                        spec.Rows,
                        spec.Temperature,
                        spec.MaxNewTokens,
                        spec.Split),
                    cancellation),
                DistinctAbility spec => DistinctGrams.Share(Answers(
                    spec.Stage,
                    spec.Rows,
                    spec.Temperature,
                    spec.MaxNewTokens,
                    spec.Split).Select(pair => pair.Answer), spec.N),
                ChoiceAbility spec => Chosen(spec, model, likelihoods, cancellation),
                EnsembleAbility spec => Ensembles.Measure(spec, cancellation),
                var other => throw new InvalidOperationException($"The ability {other.GetType().Name} has no measurement."),
            };
        return values;
    }

    private double Chosen(
        ChoiceAbility spec,
        TextModel model,
        Dictionary<string, IReadOnlyList<IReadOnlyList<ChoiceLikelihood>>> known,
        CancellationToken stop)
    {
        if (model.Model.Reading == Reading.Encoder)
            throw new InputException($"An ability of the kind choice needs the probability of a text, and a "
                + $"{model.Model.Configuration["model_type"]} reads in both directions. Use a model that writes, or a task stage.");
        var questions = Prepared($"choice {spec.Asked}", () => new ChoiceQuestions(spec, materials.Corpora, materials.Recipe.Seed));
        if (spec.Format == ChoiceFormat.Gsm8k) return questions.Written(model, stop);
        var alone = materials.Recipe.Abilities!.Values.OfType<ChoiceAbility>()
            .Any(other => other.Score == ChoiceScore.Pmi && other.Asked == spec.Asked);
        if (!known.TryGetValue(spec.Asked, out var all)) known[spec.Asked] = all = questions.Likelihoods(model, alone, stop);
        return questions.Accuracy(all, spec.Score);
    }

    private T Prepared<T>(string name, Func<T> make) where T : notnull
    {
        if (!prepared.TryGetValue(name, out var value)) prepared[name] = value = make();
        return (T)value;
    }

    // A model that reads in both directions is asked for hidden words.
    private IReadOnlyList<Item> Read(PerplexityAbility spec, LanguageModel model)
    {
        var stage = materials.Stage(spec.Stage);
        if (stage.Objective is not PretrainSpec || model.Reading == Reading.Decoder) return Items(spec.Stage, spec.Split, spec.Rows);
        return new HiddenLesson(stage, model, materials.Tokenizer).Measured(
            materials.Data(spec.Stage),
            spec.Split,
            materials.BatchOf(stage),
            spec.Rows,
            materials.Recipe.Seed);
    }

    private IReadOnlyList<Item> Items(
        string stage,
        DataSplit split,
        int rows,
        IReadOnlyList<string>? labels = null,
        AskedTask? asked = null)
    {
        var spec = materials.Stage(stage);
        var (items, _) = materials.Data(stage).Items(
            split,
            materials.Tokenizer,
            materials.BatchOf(spec),
            labels,
            asked: asked);
        return [.. Choose(items.Count, rows, stage).Select(i => items[i])];
    }

    private IEnumerable<int> Choose(int count, int rows, string stage)
    {
        var order = new Permutation(count, materials.Recipe.Seed, $"abilities of {stage}", 0);
        return Enumerable.Range(0, Math.Min(rows, count)).Select(i => order[i]);
    }

    private AskedRows Task(string name, AccuracyAbility spec, TextModel model)
    {
        var stage = materials.Stage(spec.Stage);
        if (stage.Method is PromptMethod)
            return Asked(name, spec, model);
        // Labels are numbered as in the model's head.
        var labels = HeadStage.Labels(stage, model.Model, materials.Data(spec.Stage).Labels());
        return Prepared(
            $"{name}: {string.Join('\n', labels)}",
            () => new AskedRows(
                (one, batch, _) => LabelScores.Scores(one, batch),
                Items(spec.Stage, spec.Split, spec.Rows, labels)));
    }

    // Rows with their labels, and how a model scores the labels.
    private sealed record AskedRows(RowScores Scores, IReadOnlyList<Item> Items, bool SharesBeginnings = false);

    private delegate Tensor RowScores(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows);

    // What a task has found while it was learned may be part of its rows.
    private AskedRows Asked(string name, AccuracyAbility spec, TextModel model)
    {
        var asked = materials.Asked.Of(spec.Stage, model);
        IReadOnlyList<Item> Made() => Items(
            spec.Stage,
            spec.Split,
            spec.Rows,
            asked.Task.Labels,
            asked);
        if (asked.FollowsModel) asked.Follow(model);
        var items = asked.FollowsModel ? Made() : Prepared($"{name}: {asked.Task.ToJson()}", Made);
        return new AskedRows(
            (one, batch, rows) =>
            {
                using var on = asked.On(one);
                return asked.Scores(one, batch, rows);
            },
            items,
            asked.SharesBeginnings);
    }

    // Every span of every sentence is asked.
    private double Entities(AccuracyAbility spec, TextModel model, CancellationToken stop)
    {
        var asked = materials.Asked.Of(spec.Stage, model);
        if (asked.FollowsModel) asked.Follow(model);
        using var on = asked.On(model.Model);
        var sentences = materials.Data(spec.Stage).Sentences(spec.Split);
        if (sentences.Count == 0) throw NoRows(spec.Stage, spec.Split);
        var counts = new EntityCounts();
        var reader = new SpanReader(model.Model, asked, RoomOf(spec.Stage, model.Model));
        foreach (var i in Choose(sentences.Count, spec.Rows, spec.Stage))
        {
            stop.ThrowIfCancellationRequested();
            var found = reader.Read(sentences[i].Row.Name, sentences[i].Row.Fields, sentences[i].Row.Data);
            counts = counts.And(EntityCounts.Of([.. found.Select(one => one.Span)], sentences[i].Entities));
        }
        return counts.F1;
    }

    // Each question is asked with the model's own answers to those before it.
    private List<(int Guess, int Label)> Chained(AccuracyAbility spec, TextModel model, CancellationToken stop)
    {
        var asked = materials.Asked.Of(spec.Stage, model);
        using var on = asked.On(model.Model);
        var label = ((TaskSpec)materials.Stage(spec.Stage).Objective).Label;
        var rows = materials.Data(spec.Stage).Rows(spec.Split);
        if (rows.Count == 0) throw NoRows(spec.Stage, spec.Split);
        var labels = asked.Task.Labels.ToList();
        var guesses = new List<(int, int)>();
        foreach (var part in Choose(rows.Count, spec.Rows, spec.Stage).Select(i => rows[i]).Chunk(ChainTexts))
        {
            stop.ThrowIfCancellationRequested();
            var answers = asked.Chain!.Read(
                model.Model, [.. part.Select(row => new ChainText(row.Name, row.Fields, row.Data))], RoomOf(spec.Stage, model.Model));
            guesses.AddRange(answers.Zip(part, (answer, row) => (
                answer.Probabilities.Index().MaxBy(pair => pair.Item).Index, labels.IndexOf(row.Fields.GetValueOrDefault(label, "")))));
        }
        return guesses;
    }

    private int RoomOf(string stage, LanguageModel model) =>
        Math.Min(materials.LengthOf(materials.Stage(stage)), model.Sizes.ContextLength - model.VirtualTokens);

    private static InputException NoRows(string stage, DataSplit split)
    {
        var name = split.ToString().ToLowerInvariant();
        return new InputException($"Stage {stage} has no {name} rows to ask for. Give the data a larger split.{name}.");
    }

    /// <summary>exp of the mean loss per target token.</summary>
    /// <param name="model">The model.</param>
    /// <param name="items">The rows.</param>
    public static double Perplexity(LanguageModel model, IReadOnlyList<Item> items)
    {
        ArgumentNullException.ThrowIfNull(model);
        double loss = 0, count = 0;
        foreach (var part in TokenChunks.Of(items, item => item.Tokens, TokenChunks.Measured))
        {
            using var scope = NewDisposeScope();
            using var batch = model.Lay([.. part.SelectMany(item => item.Rows)]);
            loss += model.NegativeLogLikelihood(batch).item<float>();
            count += batch.TargetCount;
        }
        return Math.Exp(loss / count);
    }

    private static List<(int Guess, int Label)> Guesses(LanguageModel model, AskedRows task)
    {
        var found = new List<(int, int)>();
        foreach (var part in TokenChunks.Of(task.Items, item => item.Tokens, TokenChunks.Measured))
        {
            using var scope = NewDisposeScope();
            List<TokenRow> rows = [.. part.SelectMany(item => item.Rows)];
            using var batch = model.Lay(rows, task.SharesBeginnings);
            var guesses = task.Scores(model, batch, rows).argmax(-1).cpu().data<long>().ToArray();
            found.AddRange(part.Select((item, i) => ((int)guesses[i], ((LabelItem)item).Label)));
        }
        return found;
    }

    private List<(Row Row, string Answer)> Generate(
        TextModel model,
        string stage,
        int rows,
        double temperature,
        int length,
        DataSplit split,
        CancellationToken cancellation)
    {
        var data = materials.Data(stage);
        var all = data.Rows(split);
        if (all.Count == 0)
            throw NoRows(stage, split);
        var chosen = Choose(all.Count, all.Count, stage).Select(i => all[i]).Where(row => model.HasRoomAfter(data.Prompt(row))).Take(rows)
            .ToList();
        if (chosen.Count == 0)
            throw new InputException($"Stage {stage}: no {split.ToString().ToLowerInvariant()} prompt leaves room for an answer in the "
                + $"model's context of {model.Model.Sizes.ContextLength:N0} tokens. Shorten the prompt, or use a longer context.");
        var settings = new SamplingSettings(
            temperature, MaxNewTokens: length, Seed: (long)new RandomStream(materials.Recipe.Seed, "abilities").NextBits());
        model.Model.Router?.Expect([.. chosen.Select(row => row.Data)]);
        var answers = model.Answer([.. chosen.Select(data.Prompt)], settings, cancellation: cancellation);
        return [.. chosen.Select((row, i) => (row, model.Tokenizer.Decode(answers[i].Tokens)))];
    }

    // The mean over the answers that the reward scores.
    private double MeanReward(RewardAbility spec, IReadOnlyList<(Row Row, string Answer)> answers, CancellationToken stop)
    {
        var data = materials.Data(spec.Stage);
        var asked = answers.Select(pair => new AskedAnswer(data.Prompt(pair.Row), pair.Answer, pair.Row.Fields)).ToList();
        return materials.Rewards.Of(spec.Reward).Scores(asked, stop).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average();
    }
}
