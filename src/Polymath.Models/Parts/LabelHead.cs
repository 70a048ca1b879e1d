using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The tasks of a head over labels.</summary>
public enum LabelTask
{
    /// <summary>One of several labels for a row.</summary>
    Classify,

    /// <summary>Any number of labels for a row.</summary>
    MultiLabel,

    /// <summary>A number for a row; a reward is one, too.</summary>
    Regress,

    /// <summary>A label for each token.</summary>
    Tag,
}

/// <summary>The token of a row that a head over rows reads.</summary>
public enum LabelPlace
{
    /// <summary>The first one (encoders).</summary>
    First,

    /// <summary>The last one (decoders).</summary>
    Last,

    /// <summary>The mean of all of them.</summary>
    Mean,

    /// <summary>The greatest value of each feature over all of them.</summary>
    Max,
}

/// <summary>
/// A head that scores labels, as transformers attaches one to any family: <c>…ForSequenceClassification</c> reads one token of a row,
/// <c>…ForTokenClassification</c> every token. One label without a problem type is a regression, such as a reward model.
/// </summary>
public sealed class LabelHead
{
    private readonly IReadOnlyList<(Projection Map, Activation? After)> steps;
    private readonly Func<Tensor, Tensor>? beneath;

    private LabelHead(
        LabelTask task,
        IReadOnlyList<string> labels,
        LabelPlace place,
        IReadOnlyList<(Projection Map, Activation? After)> steps,
        string? module,
        Func<Tensor, Tensor>? beneath)
    {
        (Task, Names, Place, this.steps, this.beneath) = (task, labels, place, steps, beneath);
        // ALBERT's pooler is a part of its base model.
        static string ModuleOf(string name) => name.StartsWith("albert.", StringComparison.Ordinal) ? name : name.Split('.')[0];
        Modules = [.. steps.Select(step => ModuleOf(step.Map.Name)).Concat(module is null ? [] : [module]).Distinct()];
    }

    /// <summary>Its task.</summary>
    public LabelTask Task { get; }

    /// <summary>What of a row a head over rows reads.</summary>
    public LabelPlace Place { get; }

    /// <summary>The number of labels.</summary>
    public int Labels => Names.Count;

    /// <summary>The labels' names, in the order of the scores.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>
    /// The modules that are always trained with the labels, whatever else is frozen: the head's own, and a fresh module under the head when
    /// the files had none.
    /// </summary>
    public IReadOnlyList<string> Modules { get; }

    /// <summary>The head that a configuration asks for, or null for a language model.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="parts">The model's parts.</param>
    /// <param name="width">The width of hidden states.</param>
    /// <param name="place">Which token of a row is read.</param>
    /// <param name="names">The modules' names: those of a head over rows, the last of which maps to the labels, and that of a head over
    /// tokens.</param>
    /// <param name="beneath">A module under the head that is fresh like the head; null for none.</param>
    /// <param name="through">What the states go through before the head's maps, by that module; null for nothing.</param>
    public static LabelHead? Attach(
        ConfigReader configuration,
        ModelParts parts,
        int width,
        LabelPlace place,
        LabelNames? names = null,
        string? beneath = null,
        Func<Tensor, Tensor>? through = null)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        ArgumentNullException.ThrowIfNull(parts);
        names ??= new LabelNames(["score"], "score");
        if (TaskOf(configuration) is not { } task) return null;
        place = Asked(configuration) ?? place;
        var labels = configuration.Labels();
        var called = configuration.LabelNames();
        if (task == LabelTask.Tag)
            return new LabelHead(
                task,
                called,
                place,
                [(
                    parts.Linear(
                        names.Tag,
                        Role.Head,
                        -1,
                        labels,
                        width,
                        bias: true),
                    null)],
                through is null ? null : beneath,
                through);
        var steps = names.Row.Select((name, i) =>
        {
            var last = i == names.Row.Count - 1;
            return (
                parts.Linear(
                    name,
                    Role.Head,
                    -1,
                    last ? labels : width,
                    width,
                    bias: names.RowBias),
                last ? null : new Activation(names.Between));
        });
        return new LabelHead(
            task,
            called,
            place,
            [.. steps],
            beneath,
            through);
    }

    private const string Pooling = "classifier_pooling";

    // ModernBERT's name for the setting, and two values of ours: transformers reads it in no other family.
    private static readonly Dictionary<string, LabelPlace> places = new()
    {
        ["cls"] = LabelPlace.First,
        ["last"] = LabelPlace.Last,
        ["mean"] = LabelPlace.Mean,
        ["max"] = LabelPlace.Max,
    };

    private static LabelPlace? Asked(ConfigReader configuration)
    {
        var asked = configuration.Text(Pooling, "");
        if (asked.Length == 0) return null;
        if (places.TryGetValue(asked, out var place)) return place;
        var known = string.Join(", ", places.Keys.Select(name => $"\"{name}\""));
        throw ConfigReader.Fault(Pooling, $"is \"{asked}\"; known are {known}");
    }

    /// <summary>The task of a configuration's head over labels; null for a language model.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    public static LabelTask? TaskOf(ConfigReader configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        var architecture = configuration.Architecture;
        if (architecture.EndsWith("ForTokenClassification", StringComparison.Ordinal)) return LabelTask.Tag;
        if (!architecture.EndsWith("ForSequenceClassification", StringComparison.Ordinal)) return null;
        return configuration.Text("problem_type", configuration.Labels() == 1 ? "regression" : "single_label_classification") switch
        {
            "regression" => LabelTask.Regress,
            "single_label_classification" => LabelTask.Classify,
            "multi_label_classification" => LabelTask.MultiLabel,
            var other => throw ConfigReader.Fault(
                "problem_type",
                $"is \"{other}\"; known are \"regression\", \"single_label_classification\" and \"multi_label_classification\""),
        };
    }

    /// <summary>The modules that a head may have, in any family, as regular expressions.</summary>
    internal static IReadOnlyList<string> AllModules { get; } =
        ["score", @"classifier(\.dense|\.out_proj)?", "classifier_head", @"classification_head\.(dense|out_proj)", @"bert\.pooler\.dense",
            "pre_classifier", @"pooler\.dense", @"albert\.pooler", @"head\.(dense|norm)"];

    /// <summary>Turns a language model's configuration into that of the same model with a head, as transformers names it.</summary>
    /// <param name="configuration">The content of <c>config.json</c>; changed.</param>
    /// <param name="task">The task of the head.</param>
    /// <param name="labels">The labels' names.</param>
    /// <param name="place">What of a row the head reads; as the family does when left out.</param>
    /// <exception cref="InputException">There is a head already, or the labels do not fit the task.</exception>
    public static void Configure(
        JsonObject configuration,
        LabelTask task,
        IReadOnlyList<string> labels,
        LabelPlace? place = null)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        ArgumentNullException.ThrowIfNull(labels);
        var read = new ConfigReader(configuration);
        if (TaskOf(read) is not null)
            throw new InputException($"The model has a head over {read.Labels()} labels already ({read.Architecture}). Give a language "
                + "model.");
        if (labels.Count < (task is LabelTask.Classify or LabelTask.Tag ? 2 : 1))
            throw new InputException($"A head that is to {task.ToString().ToLowerInvariant()} needs at least two labels; there "
                + $"{(labels.Count == 1 ? "is one" : "are none")}.");
        if (labels.Distinct(StringComparer.Ordinal).Count() < labels.Count)
            throw new InputException($"A label is given twice: {string.Join(", ", labels)}.");
        var stem = Regex.Replace(read.Architecture, "(LMHeadModel|PreTrainedModel|EncoderModel|Model|For[A-Z].*)$", "");
        if (stem.Length == 0)
            throw new InputException("config.json names no architecture that a head could be attached to; write \"architectures\": "
                + "[\"...ForCausalLM\"] into it.");
        configuration["architectures"] = new JsonArray(
            stem + (task == LabelTask.Tag ? "ForTokenClassification" : "ForSequenceClassification"));
        configuration["id2label"] = new JsonObject(
            labels.Select((label, i) => KeyValuePair.Create(i.ToString(CultureInfo.InvariantCulture), (JsonNode?)label)));
        configuration["label2id"] = new JsonObject(labels.Select((label, i) => KeyValuePair.Create(label, (JsonNode?)i)));
        if (place is { } asked) configuration[Pooling] = places.First(pair => pair.Value == asked).Key;
        if (task != LabelTask.Tag)
            configuration["problem_type"] = task switch
            {
                LabelTask.Regress => "regression",
                LabelTask.MultiLabel => "multi_label_classification",
                _ => "single_label_classification",
            };
    }

    /// <summary>The scores [rows, labels], or [tokens, labels] of a tagger.</summary>
    /// <param name="hidden">The last hidden states [tokens, width].</param>
    /// <param name="batch">The rows.</param>
    public Tensor Scores(Tensor hidden, Batch batch)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(batch);
        return ScoresOf(Task == LabelTask.Tag ? hidden : Rows(hidden, batch));
    }

    /// <summary>The scores [n, labels] of single states.</summary>
    /// <param name="states">Hidden states [n, width].</param>
    public Tensor ScoresOf(Tensor states)
    {
        ArgumentNullException.ThrowIfNull(states);
        var x = beneath is null ? states : beneath(states);
        foreach (var (map, after) in steps)
        {
            x = map.Forward(x);
            if (after is not null) x = after.Forward(x);
        }
        return x;
    }

    /// <summary>Whether a row's scores come from its last state alone.</summary>
    internal bool ReadsLastState => Task != LabelTask.Tag && Place == LabelPlace.Last;

    private Tensor Rows(Tensor hidden, Batch batch)
    {
        if (Place is LabelPlace.Mean or LabelPlace.Max)
            return stack([.. Enumerable.Range(0, batch.Rows).Select(row =>
            {
                var first = batch.Offsets[row] + (batch.Prompt?.Length ?? 0);
                var own = hidden.narrow(0, first, batch.Offsets[row + 1] - first);
                return Place == LabelPlace.Mean ? own.mean([0]) : own.amax([0]);
            })]);
        var at = Place == LabelPlace.First ? batch.FirstPlaces() : batch.LastPlaces();
        return hidden.index_select(0, at.to(hidden.device));
    }

    /// <summary>
    /// The loss as a SUM over rows (classify, regress) or targets (tag), with labels in transformers' form; a label of −100 does not
    /// count.
    /// </summary>
    /// <param name="scores">[n, labels].</param>
    /// <param name="targets">[n] numbers of labels or values; [n, labels] for several at once and for regressions of several
    /// values.</param>
    /// <returns>The sum, and the count that makes it a mean.</returns>
    public (Tensor Loss, double Count) Loss(Tensor scores, Tensor targets)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(targets);
        switch (Task)
        {
            case LabelTask.Regress:
                var wanted = targets.to(ScalarType.Float32).view(scores.shape);
                return ((scores - wanted).square().sum(), scores.numel());
            case LabelTask.MultiLabel:
                // −log σ of each label's score, with the sign of the true label, in a form that does not overflow.
                var truth = targets.to(ScalarType.Float32);
                return ((nn.functional.softplus(scores) - scores * truth).sum(), scores.numel());
            default:
                var counts = targets.ne(-100);
                var chosen = scores.log_softmax(-1).gather(1, targets.clamp(min: 0).unsqueeze(1)).squeeze(1);
                return ((chosen * counts).sum().neg(), counts.sum().item<long>());
        }
    }
}

/// <summary>The names of a family's label heads.</summary>
/// <param name="Row">The modules of a head over rows; all but the last are followed by an activation.</param>
/// <param name="Tag">The module of a head over tokens.</param>
/// <param name="RowBias">Whether the maps of a head over rows have biases.</param>
/// <param name="Between">The activation after all but the last of a head over rows.</param>
public sealed record LabelNames(IReadOnlyList<string> Row, string Tag, bool RowBias = false, string Between = "tanh");
