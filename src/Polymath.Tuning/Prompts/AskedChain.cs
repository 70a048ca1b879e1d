using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>A text that a chain is asked about.</summary>
/// <param name="Name">Its name in messages.</param>
/// <param name="Fields">Its fields.</param>
/// <param name="Data">The name of its source, by which rows are routed to adapters; null where it is not needed.</param>
public sealed record ChainText(string Name, IReadOnlyDictionary<string, string> Fields, string? Data = null);

/// <summary>What a chain says of a text.</summary>
/// <param name="Probabilities">The probability of each label.</param>
/// <param name="Answers">The answers to the questions before the last one, by their names.</param>
/// <param name="Cut">Whether the last question was too long and lost tokens of its fields.</param>
public sealed record ChainAnswer(
    IReadOnlyList<double> Probabilities,
    IReadOnlyList<(string Name, string Text)> Answers,
    bool Cut);

/// <summary>
/// The questions of a task that are asked one after the other, each with the answers to those before it; the last one is the task's own
/// prompt. A label is the last answer; or what rules say of all answers, and then its probability is the product of theirs, each asked with
/// the label's own earlier answers (the conjunctions of PTR: Han et al. 2021, as a chain).
/// </summary>
public sealed class AskedChain : IDisposable
{
    /// <summary>The kind of a verbalizer whose answers are written.</summary>
    internal const string WrittenKind = "written";

    private readonly Tokenizer tokenizer;
    private readonly PromptTask task;
    private readonly List<AskedPrompt> earlier = [];
    private readonly AskedPrompt last;
    private readonly HashSet<int> ends;

    /// <summary>The questions of a task.</summary>
    /// <param name="model">The model.</param>
    /// <param name="task">The task.</param>
    /// <param name="last">The task's own prompt.</param>
    /// <param name="take">Gives a weight by its name, its first values, and whether it is trained.</param>
    /// <param name="seed">The seed of what starts at random.</param>
    /// <exception cref="InputException">The model cannot read a template or the words of an answer.</exception>
    internal AskedChain(
        TextModel model,
        PromptTask task,
        AskedPrompt last,
        Func<string, Func<Tensor>, bool, Weight> take,
        ulong seed)
    {
        // Later models of the run are asked by it, too, so nothing of this one is kept but its tokenizer.
        (tokenizer, ends) = (model.Tokenizer, [.. model.Ends, .. model.Tokenizer.SpecialTokens.Values]);
        (this.task, this.last) = (task, last);
        if (task.Rules is { } rules && task.Labels.FirstOrDefault(label => !rules.ContainsKey(label)) is { } lawless)
            throw new InputException($"The rules do not say what the label '{lawless}' is. Write {lawless}: [ANSWER, ANSWER] under rules.");
        if (task.Rules?.Keys.FirstOrDefault(label => !task.Labels.Contains(label)) is { } unknown)
            throw new InputException($"The rules name '{unknown}', which is not a label of the data; labels are "
                + $"{string.Join(", ", task.Labels)}.");
        foreach (var question in Questions)
            try
            {
                earlier.Add(new AskedPrompt(
                    model,
                    question.Prompt,
                    question.Labels,
                    (name, fresh, trains) => take($"chain.{question.Name}.{name}", fresh, trains),
                    (last.Reader.SoftCount + earlier.Sum(one => one.Reader.SoftCount), RandomStream.Mix(seed + (ulong)earlier.Count + 1)),
                    []));
                if (question.IsWritten) earlier[^1].Reader.TakesTexts([]);
            }
            catch (InputException e)
            {
                Dispose();
                throw new InputException($"The question '{question.Name}': {e.Message}", e);
            }
    }

    /// <summary>The questions before the last one.</summary>
    public IReadOnlyList<TaskQuestion> Questions => task.Chain!;

    /// <summary>The number of the last question.</summary>
    public int Last => earlier.Count;

    /// <summary>The prompts before the last one.</summary>
    internal IReadOnlyList<AskedPrompt> Earlier => earlier;

    /// <summary>The answers that a question chooses from; none where it is written.</summary>
    /// <param name="question">The number of the question.</param>
    public IReadOnlyList<string> LabelsOf(int question) => question == Last ? task.LastLabels : Questions[question].Labels;

    private AskedPrompt PromptOf(int question) => question == Last ? last : earlier[question];

    private bool IsWritten(int question) => question < Last && Questions[question].IsWritten;

    /// <summary>The rows that ask a question.</summary>
    /// <param name="question">The number of the question.</param>
    /// <param name="text">The text, with the answers to the questions before.</param>
    /// <param name="most">The most tokens.</param>
    public IReadOnlyList<TokenRow> Rows(int question, ChainText text, int most)
    {
        ArgumentNullException.ThrowIfNull(text);
        var room = IsWritten(question) && most < int.MaxValue ? most - Questions[question].Tokens : most;
        return [.. PromptOf(question).Rows(text.Name, text.Fields, room).Select(row => row with { Data = text.Data })];
    }

    /// <summary>The row of a question whose answer is written, with the answer and its end as what is learned.</summary>
    /// <param name="question">The number of the question.</param>
    /// <param name="text">The text, with the answers to the questions before.</param>
    /// <param name="answer">The answer.</param>
    /// <param name="most">The most tokens.</param>
    public TokenRow Answered(
        int question,
        ChainText text,
        string answer,
        int most)
    {
        ArgumentNullException.ThrowIfNull(text);
        return earlier[question].Reader.Finished(
            text.Name,
            text.Fields,
            answer,
            most,
            Questions[question].Tokens) with { Data = text.Data };
    }

    /// <summary>
    /// The loss of answers, Σ −log p, where that of a written answer is the mean of its tokens', and the number of those that are the
    /// most probable.
    /// </summary>
    /// <param name="network">The model, with the soft tokens' vectors.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="items">The questions, with the number of the right answer and their rows, in the order of the batch.</param>
    public (Tensor Loss, long Right) Learned(
        LanguageModel network,
        Batch batch,
        IReadOnlyList<(int Question, int Label, IReadOnlyList<TokenRow> Rows)> items)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(items);
        var hidden = network.Hidden(batch);
        var at = 0;
        var placed = items.Select(item =>
        {
            var first = at;
            at += item.Rows.Count;
            return (item.Question, item.Label, Rows: item.Rows.Select((row, i) => (Row: row, At: first + i)).ToList());
        }).ToList();
        var (losses, right) = (new List<Tensor>(), 0L);
        foreach (var group in placed.GroupBy(item => item.Question))
        {
            List<(TokenRow Row, int At)> rows = [.. group.SelectMany(item => item.Rows)];
            if (IsWritten(group.Key))
            {
                var (loss, whole) = WrittenLoss(
                    network,
                    hidden,
                    batch,
                    rows);
                losses.Add(loss);
                right += whole;
                continue;
            }
            var said = Said(
                network,
                hidden,
                batch,
                group.Key,
                rows);
            var labels = tensor(group.Select(item => (long)item.Label).ToArray(), device: said.device);
            losses.Add(said.gather(1, labels.unsqueeze(1)).sum().neg());
            right += said.argmax(-1).eq(labels).sum().item<long>();
        }
        return (stack(losses, 0).sum(), right);
    }

    // The log-probabilities of a question's answers [n, C].
    private Tensor Said(
        LanguageModel network,
        Tensor hidden,
        Batch batch,
        int question,
        IReadOnlyList<(TokenRow Row, int At)> rows) => PromptOf(question).Scores(
        network,
        hidden,
        batch,
        rows).to(ScalarType.Float32).log_softmax(-1);

    private static (Tensor Loss, long Right) WrittenLoss(
        LanguageModel network,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows)
    {
        long[] places = [.. rows.SelectMany(row => row.Row.Answers!
            .Select(place => (long)batch.Offsets[row.At + 1] - (row.Row.Length - place)))];
        var targets = tensor(
            rows.SelectMany(row => row.Row.Answers!.Select(place => (long)row.Row.Ids[place + 1])).ToArray(), device: hidden.device);
        var logs = network.Unembed(hidden.index_select(0, tensor(places, device: hidden.device))).to(ScalarType.Float32).log_softmax(-1);
        var (each, hit) = (logs.gather(1, targets.unsqueeze(1)).squeeze(1), logs.argmax(-1).eq(targets).cpu().data<bool>().ToArray());
        var (loss, right, at) = (new List<Tensor>(), 0L, 0);
        foreach (var count in rows.Select(row => row.Row.Answers!.Count))
        {
            loss.Add(each.narrow(0, at, count).mean().neg());
            if (hit.AsSpan(at, count).IndexOf(false) < 0) right++;
            at += count;
        }
        return (stack(loss, 0).sum(), right);
    }

    /// <summary>Texts with the answers to all questions before the last one: the right ones that are given, else the model's.</summary>
    /// <param name="network">The model, with the soft tokens' vectors.</param>
    /// <param name="texts">The texts.</param>
    /// <param name="most">The most tokens of a row.</param>
    /// <param name="given">Whether a text's own fields give right answers.</param>
    public IReadOnlyList<ChainText> Filled(
        LanguageModel network,
        IReadOnlyList<ChainText> texts,
        int most,
        bool given)
    {
        ArgumentNullException.ThrowIfNull(texts);
        var known = texts.ToArray();
        for (var question = 0; question < Last; question++)
        {
            var spec = Questions[question];
            // A question may be named as the field of its right answer, so the row itself is looked at.
            string? Right(int i) => given && spec.Field is { } field && texts[i].Fields.GetValueOrDefault(field) is { Length: > 0 } value
                ? value
                : null;
            List<int> asks = [.. Enumerable.Range(0, known.Length).Where(i => Right(i) is null)];
            var answers = asks.Zip(Answers(network, question, [.. asks.Select(i => known[i])], most)).ToDictionary(
                pair => pair.First, pair => pair.Second);
            known = [.. known.Select((text, i) => With(text, spec.Name, answers.GetValueOrDefault(i) ?? Right(i)!))];
        }
        return known;
    }

    private static ChainText With(ChainText text, string name, string answer) =>
        text with { Fields = new Dictionary<string, string>(text.Fields) { [name] = answer } };

    private IReadOnlyList<string> Answers(
        LanguageModel network,
        int question,
        IReadOnlyList<ChainText> texts,
        int most)
    {
        if (texts.Count == 0) return [];
        if (IsWritten(question))
            return new ChainWriter(tokenizer, ends, Questions[question].Tokens).Write(
                network, [.. texts.SelectMany(text => Rows(question, text, most))]);
        using var scope = NewDisposeScope();
        var best = Logs(network, question, texts, most).argmax(-1).cpu().data<long>().ToArray();
        return [.. best.Select(label => LabelsOf(question)[(int)label])];
    }

    private Tensor Logs(
        LanguageModel network,
        int question,
        IReadOnlyList<ChainText> texts,
        int most)
    {
        using var frozen = no_grad();
        List<TokenRow> rows = [.. texts.SelectMany(text => Rows(question, text, most))];
        using var batch = network.Lay(rows);
        return Said(
            network,
            network.Hidden(batch),
            batch,
            question,
            [.. rows.Select((row, at) => (row, at))]);
    }

    /// <summary>What the chain says of texts, which are read at once.</summary>
    /// <param name="network">The model, with the soft tokens' vectors.</param>
    /// <param name="texts">The texts, at least one.</param>
    /// <param name="most">The most tokens of a row.</param>
    public IReadOnlyList<ChainAnswer> Read(LanguageModel network, IReadOnlyList<ChainText> texts, int most)
    {
        ArgumentNullException.ThrowIfNull(network);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        if (task.Rules is { } rules) return ByRules(network, texts, most, [.. task.Labels.Select(label => rules[label])]);
        var known = Filled(network, texts, most, given: false);
        var values = Numbers(Logs(network, Last, known, most).exp());
        return [.. known.Select((text, i) => new ChainAnswer(
            Row(values, i),
            [.. Questions.Select(question => (question.Name, text.Fields[question.Name]))],
            Rows(Last, text, int.MaxValue).Max(row => row.Length) > most))];
    }

    // Each question is asked with each beginning that labels have, as far as its template names earlier answers.
    private IReadOnlyList<ChainAnswer> ByRules(
        LanguageModel network,
        IReadOnlyList<ChainText> texts,
        int most,
        IReadOnlyList<IReadOnlyList<string>> rules)
    {
        var sums = zeros(texts.Count, task.Labels.Count, device: network.Device);
        for (var question = 0; question <= Last; question++)
        {
            var template = question == Last ? task.Prompts[0].Template : Questions[question].Prompt.Template;
            var named = TemplateFields.OfPrompt(template).ToHashSet();
            var asks = Enumerable.Range(0, question).Where(before => named.Contains(Questions[before].Name)).ToList();
            var parts = new Tensor[task.Labels.Count];
            foreach (var group in Enumerable.Range(0, rules.Count).GroupBy(label => string.Join('\n', asks.Select(q => rules[label][q]))))
            {
                var own = rules[group.First()];
                var logs = Logs(
                    network,
                    question,
                    [.. texts.Select(text => asks.Aggregate(text, (known, q) => With(known, Questions[q].Name, own[q])))],
                    most);
                foreach (var label in group) parts[label] = logs.select(1, LabelsOf(question).ToList().IndexOf(rules[label][question]));
            }
            sums += stack(parts, 1);
        }
        var values = Numbers(sums.softmax(-1));
        return [.. texts.Select((text, i) =>
        {
            var probabilities = Row(values, i);
            var best = rules[probabilities.Index().MaxBy(pair => pair.Item).Index];
            return new ChainAnswer(
                probabilities,
                [.. Questions.Select((question, q) => (question.Name, best[q]))],
                Rows(Last, Questions.Index().Aggregate(text, (known, q) => With(known, q.Item.Name, best[q.Index])), int.MaxValue)
                    .Max(row => row.Length) > most);
        })];
    }

    private List<double> Row(float[] values, int row) =>
        [.. values[(row * task.Labels.Count)..((row + 1) * task.Labels.Count)].Select(value => (double)value)];

    private static float[] Numbers(Tensor values) => values.to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();

    /// <summary>Frees the tables of words.</summary>
    public void Dispose()
    {
        foreach (var prompt in earlier) prompt.Dispose();
    }
}
