using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Hubs;
using Polymath.Text.Templates;
using Polymath.Training;
using Polymath.Training.Evaluation;
using Polymath.Tuning.Prompts;

namespace Polymath.Cli;

/// <summary>Several finished stages that label together; their models are opened one after another.</summary>
/// <param name="run">The run's folder.</param>
/// <param name="stages">The stages: of the run, of others as RUN/STAGE, or models' folders.</param>
/// <param name="together">How their answers become one.</param>
/// <param name="open">Opens a model's folder.</param>
/// <param name="hub">Opens the hubs that the run's data may lie on.</param>
internal sealed class TogetherLabeller(
    string run,
    IReadOnlyList<string> stages,
    PromptsTogether together,
    Func<string, OpenedModel> open,
    Func<HubPins, Hub> hub) : Labeller
{
    private const int RowsAtOnce = 16;

    private readonly IReadOnlyList<string> places = [.. stages.Select(stage => Place(run, stage))];
    private IReadOnlyList<string> names = [];

    internal override IReadOnlyList<string> Names => names;

    internal override string? Label => places.Select(PromptTask.Read).OfType<PromptTask>().Select(task => task.Label).FirstOrDefault();

    // A stage of the run, or what lies elsewhere.
    private static string Place(string run, string stage) => !stage.Contains('/', StringComparison.Ordinal) && !Directory.Exists(stage)
        ? TextModel.Locate(run, stage)
        : FinishedStage.Named(stage).Model;

    internal override string Asked => "stage";

    internal override PromptedAnswer Of(string text, bool why) => Answers(
        stage => stage.Read([stage.Task is { } task ? OneText(task, text) : Alone("The text", text)], One, 1), why).Single();

    internal override IEnumerable<PromptedAnswer> Of(
        LabelRows rows,
        (string? Text, string? Label) columns,
        int rowsAtOnce,
        bool why) => Answers(
        stage => stage.Read(
            stage.Task is { } task
                ? RowsFor(task, rows, columns)
                : [.. rows.Texts(rows.TextField(columns.Text, columns.Label)).Zip(rows.Rows, (text, row) => Alone(row.Place, text))],
            One,
            rowsAtOnce),
        why);

    // What a head reads is one text.
    private static (string Name, IReadOnlyDictionary<string, string> Fields) Alone(string name, string text) =>
        (name, new Dictionary<string, string> { [""] = text });

    private static string One(IReadOnlyDictionary<string, string> fields) => fields[""];

    private List<PromptedAnswer> Answers(Func<StageLabels, IReadOnlyList<LabelledAnswer>> asked, bool why)
    {
        using var weighing = Ensemble.Weighs(together) ? Weighing.Of((run, hub), stages, places[0]) : null;
        var answers = new Ensemble(
            [
                .. stages.Zip(places, (stage, place) => new EnsembleMember(
                    stage,
                    () => Opened(place),
                    asked,
                    labels => weighing!.Read(labels, stage, RowsAtOnce))),
            ],
            together).Read(weighing?.Labels ?? []);
        names = answers.Labels;
        return [.. answers.Together.Select((scores, i) => new PromptedAnswer(
            new LabelledAnswer(scores, answers.Each.Any(own => own[i].Cut)),
            why ? Reasons(answers, scores, i) : []))];
    }

    private StageLabels Opened(string place)
    {
        var opened = open(place);
        return new StageLabels(opened.Text, place, opened);
    }

    // What each stage says, the one first that speaks most for the label.
    private List<PromptReason> Reasons(EnsembleAnswers answers, IReadOnlyList<double> scores, int row)
    {
        var best = scores.Index().MaxBy(pair => pair.Item).Index;
        return
        [
            .. stages.Select((stage, s) => new PromptReason(
                stage,
                answers.Shares[s],
                answers.Each[s][row].Scores,
                [])).OrderByDescending(reason => reason.Share * reason.Probabilities[best]),
        ];
    }

    // The validation rows of the first stage of the run, on which weights are found.
    private sealed class Weighing : IDisposable
    {
        private readonly Materials materials;
        private readonly IReadOnlyList<Row> rows;

        private Weighing(Materials materials, StageSpec stage)
        {
            this.materials = materials;
            rows = materials.Data(stage.Name).Rows(DataSplit.Validation);
            Labels = [.. rows.Select(row => row.Fields.GetValueOrDefault(((TaskSpec)stage.Objective).Label, ""))];
        }

        internal IReadOnlyList<string> Labels { get; }

        internal static Weighing Of((string Folder, Func<HubPins, Hub> Hub) from, IReadOnlyList<string> stages, string place)
        {
            var (run, hub) = from;
            const string instead = "Weights of stages are found on a run's validation rows; write --together mean or majority.";
            var reading = RunRecipe.Of(run, instead);
            var recipe = reading.OrThrow();
            if (recipe.Stages.FirstOrDefault(stage => stages.Contains(stage.Name) && stage.Objective is TaskSpec) is not { } first)
                throw new InputException($"None of {string.Join(", ", stages)} is a task stage of {run}. {instead}");
            var terminal = new Terminal(quiet: true);
            // The model's own tokenizer is used, so no tokenizer is trained here.
            var materials = terminal.Show(() => Materials.Gather(
                recipe with { Tokenizer = new TokenizerFolderSpec(Path.GetFullPath(place)) },
                reading.BaseFolder,
                place,
                terminal,
                hub(new HubPins(Surroundings.Pins(run)))));
            try
            {
                return new Weighing(materials, first);
            }
            catch
            {
                materials.Dispose();
                throw;
            }
        }

        // A head of the run reads its own text.
        internal IReadOnlyList<LabelledAnswer> Read(StageLabels labels, string stage, int rowsAtOnce)
        {
            var own = materials.Recipe.Stages.FirstOrDefault(one => one.Name == stage)?.Objective as TaskSpec ?? new TaskSpec("");
            var text = new FieldText(own.Reads);
            return labels.Read([.. rows.Select(row => (row.Name, row.Fields))], text.Fill, rowsAtOnce);
        }

        public void Dispose() => materials.Dispose();
    }
}
