using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Models;

/// <summary>A model for conversations: the weights, the tokenizer and the layout it was trained with.</summary>
/// <param name="model">The weights.</param>
/// <param name="tokenizer">The tokenizer.</param>
/// <param name="contract">The layout.</param>
public sealed class TextModel(LanguageModel model, Tokenizer tokenizer, TextContract contract) : IDisposable
{
    /// <summary>The weights.</summary>
    public LanguageModel Model { get; } = model;

    /// <summary>The tokenizer.</summary>
    public Tokenizer Tokenizer { get; } = tokenizer;

    /// <summary>The layout.</summary>
    public TextContract Contract { get; } = contract;

    /// <summary>Opens a model folder, or the newest finished stage of a run folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="allowed">Names of weights that the files may have although the model does not need them.</param>
    /// <param name="layout">Changes the layout of conversations; null keeps the folder's own.</param>
    public static TextModel Open(
        string folder, IReadOnlyCollection<string>? allowed = null, Func<TextContract, TextContract>? layout = null)
    {
        var place = Locate(folder);
        var model = ModelFolder.Open(place, allowed);
        try
        {
            var tokenizer = Tokenizer.Load(place, model.Sizes.VocabularySize).Uncut();
            if (tokenizer.VocabularySize > model.Sizes.VocabularySize)
                throw new InputException($"{place}: the tokenizer has {tokenizer.VocabularySize} tokens, the model "
                    + $"{model.Sizes.VocabularySize}. They do not belong together.");
            var contract = TextContract.Load(place, tokenizer);
            return new TextModel(model, tokenizer, layout is null ? contract : layout(contract));
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The model folder that a folder stands for: itself, or the last finished stage of a run.</summary>
    /// <param name="folder">A model folder or a run folder.</param>
    /// <param name="stage">The run's stage by its name or its folder's; null for the last finished one.</param>
    public static string Locate(string folder, string? stage = null)
    {
        if (File.Exists(folder))
            throw new InputException($"{folder} is a file. A model is a folder with config.json and its weights: name the folder.");
        if (!Directory.Exists(folder))
        {
            // A text whose first folder exists, or is the usual folder of runs, is meant as a path.
            var onHub = folder.Split('/') is [not "runs", _] parts && !Directory.Exists(parts[0])
                && HubAddress.TryParse("hf:" + folder, data: false, out _, out _);
            throw new InputException($"There is no folder {folder}. Give a run folder (runs/NAME) or a model "
                + $"folder{(onHub ? $"; a model on the hub is hf:{folder}" : "")}.");
        }
        if (File.Exists(Path.Combine(folder, "config.json")))
            return stage is null
                ? folder
                : throw new InputException($"{folder} is a model's folder and has no stages. Leave --stage out, or name a run "
                    + "(runs/NAME).");
        AdapterFolder.Refuse(folder);
        var stages = Path.Combine(folder, "stages");
        if (!Directory.Exists(stages))
            throw new InputException($"{folder} is neither a run nor a model folder: it has neither stages nor config.json. Name one that "
                + "holds either, such as runs/NAME.");
        if (stage is not null)
        {
            var finished = Directory.GetDirectories(stages)
                .Where(place => Directory.Exists(Path.Combine(place, "model"))).OrderBy(NumberOf).ToList();
            return finished.LastOrDefault(
                place => Path.GetFileName(place) == stage || Path.GetFileName(place).Split('-', 2)[^1] == stage) is { } found
                ? Path.Combine(found, "model")
                : throw new InputException($"{folder} has no finished stage '{stage}'; it has "
                    + $"{string.Join(", ", finished.Select(place => Path.GetFileName(place).Split('-', 2)[^1]))}.");
        }
        return Directory.GetDirectories(stages).OrderBy(NumberOf)
            .Select(stage => Path.Combine(stage, "model")).LastOrDefault(Directory.Exists)
            ?? throw new InputException($"No stage of {folder} is finished yet. Run the recipe to its first model, then try again.");
    }

    // "07-align" is the seventh visit; sorting by name would be wrong with a hundred visits.
    private static int NumberOf(string stage) => int.TryParse(Path.GetFileName(stage).Split('-')[0], out var number) ? number : -1;

    /// <summary>
    /// The tokens that end an answer: the layout's and the tokenizer's first, then those that the model's own files name.
    /// </summary>
    public IReadOnlyCollection<int> Ends => ends ??= [.. Contract.Ends(Tokenizer).Concat(GenerationConfig.EndsOf(Model)).Distinct()];

    private IReadOnlyList<int>? ends;

    /// <summary>Whether a conversation of one turn leaves room for an answer.</summary>
    /// <param name="message">What the user says.</param>
    public bool HasRoomAfter(string message) =>
        new TokenGenerator(Model, Ends).Unfit(Contract.Encode([new Turn(message)], Tokenizer)) is null;

    /// <summary>Answers many prompts at once, each a conversation of one turn.</summary>
    /// <param name="messages">What the users say.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="scored">Whether answers have the log-probabilities of their tokens.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    /// <returns>The tokens of each answer, and the token that ended it.</returns>
    public IReadOnlyList<GeneratedTokens> Answer(
        IReadOnlyList<string> messages, SamplingSettings settings, bool scored = false, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        ArgumentNullException.ThrowIfNull(settings);
        return [.. new TokenGenerator(Model, EndsOf(settings)) { Scored = scored }.Answers(
            [.. messages.Select(message => Contract.Encode([new Turn(message)], Tokenizer))],
            settings,
            Gated(messages.Count, settings),
            cancellation)];
    }

    /// <summary>Continues the tokens of many prompts and returns each answer's text, in order, as soon as those before it are.</summary>
    /// <param name="prompts">The tokens.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="rowsAtOnce">How many are generated at once.</param>
    /// <param name="continues">Whether an answer continues its prompt's text and keeps the space between the two.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    /// <returns>The text and the tokens of each answer.</returns>
    public IEnumerable<GeneratedText> Each(
        IReadOnlyList<int[]> prompts,
        SamplingSettings settings,
        int rowsAtOnce,
        bool continues = false,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(settings);
        return new TokenGenerator(Model, EndsOf(settings)) { RowsAtOnce = rowsAtOnce }
            .Answers(prompts, settings, Gated(prompts.Count, settings), cancellation).Select((answer, i) =>
            {
                var gate = new StopGate(settings.Stops);
                var whole = NewText(prompts[i], continues);
                var text = gate.Pass(string.Concat(answer.Tokens.Select(whole.Append)) + whole.Flush()) + gate.Rest();
                return new GeneratedText(
                    continues ? text : Contract.Answered(text, Tokenizer), answer with { Stopped = answer.Stopped || gate.Stopped });
            });
    }

    // An encoder's prompt is another text than the answer.
    private AnswerText NewText(int[] prompt, bool continues) =>
        new(Tokenizer, continues && Model.Reading == Reading.Decoder ? prompt : null);

    // A special token has no text, so a stop text that is one is an end token.
    private IReadOnlyCollection<int> EndsOf(SamplingSettings settings) =>
        [.. Ends.Concat(settings.Stops.Where(Tokenizer.SpecialTokens.ContainsKey).Select(stop => Tokenizer.SpecialTokens[stop]))
            .Distinct()];

    // Ends a row at a stop text; null when there are none.
    private Func<int, int, bool>? Gated(int rows, SamplingSettings settings)
    {
        if (settings.Stops.Count == 0) return null;
        var gates = Enumerable.Range(0, rows).Select(_ => (Stream: Tokenizer.NewStream(), Gate: new StopGate(settings.Stops))).ToList();
        return (row, token) =>
        {
            gates[row].Gate.Pass(gates[row].Stream.Append(token));
            return !gates[row].Gate.Stopped;
        };
    }

    /// <summary>Continues tokens and returns text as it is generated.</summary>
    /// <param name="prompt">The tokens.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="write">Receives each piece of text.</param>
    /// <param name="continues">Whether the answer continues the prompt's text and keeps the space between the two.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    /// <returns>The new tokens, and why the answer ended.</returns>
    public GeneratedTokens Stream(
        int[] prompt,
        SamplingSettings settings,
        Action<string> write,
        bool continues = false,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(write);
        ArgumentNullException.ThrowIfNull(settings);
        var stream = NewText(prompt, continues);
        var gate = new StopGate(settings.Stops);
        var given = write;
        var begun = continues;
        // The space that the layout puts before an answer is not part of it.
        write = text =>
        {
            var shown = begun ? text : Contract.Answered(text, Tokenizer);
            begun = begun || shown.Length > 0;
            given(shown);
        };
        var answer = new TokenGenerator(Model, EndsOf(settings)).Answers([prompt], settings, (_, token) =>
        {
            write(gate.Pass(stream.Append(token)));
            return !gate.Stopped;
        }, cancellation).Single();
        // With beams, there is no token before the whole answer is found.
        if (settings.Beams > 1) foreach (var token in answer.Tokens) write(gate.Pass(stream.Append(token)));
        write(gate.Pass(stream.Flush()) + gate.Rest());
        return answer with { Stopped = answer.Stopped || gate.Stopped };
    }

    /// <summary>Writes everything into a model folder.</summary>
    /// <param name="folder">The folder.</param>
    public void Save(string folder)
    {
        GenerationConfig.End(Model, Contract.Ends(Tokenizer));
        ModelFolder.Save(Model, folder);
        Tokenizer.Save(folder);
        Contract.Save(folder, Tokenizer);
    }

    /// <summary>Writes everything except the weights into a model folder, which uses the weights of another folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="final">Its final place.</param>
    /// <param name="origin">The folder that holds this model's weights.</param>
    /// <param name="within">The folder within which paths are relative.</param>
    public void SaveOver(string folder, string final, string origin, string within)
    {
        ModelBase.Write(folder, final, origin, within);
        GenerationConfig.End(Model, Contract.Ends(Tokenizer));
        Model.Generation?.Save(folder);
        Tokenizer.Save(folder);
        Contract.Save(folder, Tokenizer);
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose() => Model.Dispose();
}
