using System.Text.Json;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Cli;
using Polymath.Tests.Text.Prompts;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Searches;
using Polymath.Tuning.Prompts.Searches;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Searches for prompts against all that could be chosen, and what training by a candidate does, against plain PyTorch.</summary>
[Trait("kind", "unit")]
public sealed class PromptSearchRunTests : IDisposable
{
    private readonly TextModel model = PromptModels.Open("bert-mlm");

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => model.Dispose();

    private SearchTask Task(int rows)
    {
        foreach (var weight in model.Model.Weights) weight.Trainable = false;
        Row Of(int i, DataSplit split) => new($"{split} {i}", split, new Dictionary<string, string>
        {
            ["text"] = i % 2 == 0 ? $"a b {i % 5}" : $"b {i % 5}", ["kind"] = i % 2 == 0 ? "soft" : "hard",
        });
        var stage = new StageSpec(
            "ask", new TaskSpec("kind"), new AdamwSpec(1e-3), Method: new PromptMethod("{text} it was {mask}"));
        return new SearchTask(
            stage,
            model,
            [
                .. Enumerable.Range(0, rows).Select(i => Of(i, DataSplit.Train)),
                .. Enumerable.Range(0, 6).Select(i => Of(i, DataSplit.Validation)),
            ],
            24,
            Stop);
    }

    private static readonly TriggerSettings all = new(
        2,
        1000,
        2,
        1,
        1000,
        [],
        3,
        1000);

    // The mean of −log p(word) on the rows that an exchange is tried on, for each trigger.
    private double Loss(SearchTask task, string trigger, int iteration)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var order = new Permutation(task.Train.Count, all.Seed, "trigger rows 0", iteration);
        List<Row> rows = [.. Enumerable.Range(task.Train.Count / 2, task.Train.Count / 2).Select(i => task.Train[order[i]])];
        var shares = task.Logits(task.Asked($"{{text}} it was {trigger} {{mask}}", rows)).log_softmax(-1);
        return -rows.Select((row, i) => shares[i][model.Tokenizer.EncodePlain(row.Fields["kind"])[0]].item<float>()).Average();
    }

    [Fact]
    public void With_beams_for_every_word_the_best_of_all_triggers_is_found()
    {
        var task = Task(8);
        var search = new TriggerSearchRun(task, all);
        var state = search.Begin(0, []);
        while (!search.IsDone(state)) state = search.Next(state);
        List<string> words = [.. SearchWords.Allowed(model.Tokenizer).Values.Select(word => word.Trim())
            .Where(word => word is not ("soft" or "hard"))];
        Assert.True(words.Count > 5, string.Join(' ', words));
        var best = words.SelectMany(first => words.Select(second => $"{first} {second}")).MinBy(trigger => Loss(task, trigger, 1))!;
        Assert.Equal(best, string.Join(' ', state.Tokens.Select(id => model.Tokenizer.Decode([id]).Trim())));
        // All different triggers of the last exchange are scored.
        Assert.Equal(words.Count * words.Count, state.Others!.Count + 1);
        Assert.True(state.Found.Select(one => one.Template).Distinct().Count() >= words.Count * words.Count);
    }

    [Fact]
    public void One_beam_exchanges_one_word_after_another()
    {
        var task = Task(8);
        var search = new TriggerSearchRun(task, all with { Beams = 1 });
        List<string> words = [.. SearchWords.Allowed(model.Tokenizer).Values.Select(word => word.Trim())
            .Where(word => word is not ("soft" or "hard"))];
        var state = search.Begin(0, []);
        for (var iteration = 0; iteration < 2; iteration++)
        {
            string[] now = [.. state.Tokens.Select(id => model.Tokenizer.Decode([id]).Trim())];
            string With(string word) => iteration == 0 ? $"{word} {now[1]}" : $"{now[0]} {word}";
            state = search.Next(state);
            Assert.Null(state.Others);
            Assert.Equal(
                words.Select(With).MinBy(trigger => Loss(task, trigger, iteration)),
                string.Join(' ', state.Tokens.Select(id => model.Tokenizer.Decode([id]).Trim())));
        }
        Assert.InRange(state.Found.Count, 1, 3);
    }

    [Fact]
    public void A_stopped_search_with_beams_goes_on_from_its_state_alone()
    {
        var few = all with { Beams = 3, Candidates = 4, Iterations = 5, Restarts = 2 };
        TriggerState Run(bool anew)
        {
            var task = Task(8);
            var search = new TriggerSearchRun(task, few);
            var state = search.Begin(0, []);
            while (!search.IsDone(state))
            {
                if (anew)
                {
                    search = new TriggerSearchRun(task, few);
                    state = JsonSerializer.Deserialize<TriggerState>(JsonSerializer.Serialize(state))!;
                }
                state = search.Next(state);
            }
            return state;
        }
        Assert.Equal(
            JsonSerializer.Serialize(Run(false)), JsonSerializer.Serialize(Run(true)));
        Assert.Equal(2, Run(false).Others!.Count);
    }

    [Fact]
    public void A_candidate_is_scored_after_training_by_it_and_the_model_is_as_it_was()
    {
        var task = Task(6);
        using var scope = NewDisposeScope();
        var before = model.Model.Weights.Select(weight => weight.Value.clone()).ToList();
        const string Template = "{text} was {mask} today";
        SearchCandidate Scored() => task.Scored(
            Template,
            task.Words,
            0,
            "here");
        var plain = Scored();
        using (var tuning = new CandidateTuning(task, new TuneSettings(3, 1e-2, 6), 1))
        {
            task.Tuning = tuning;
            var tuned = Scored();
            Assert.True(tuned.Loss < plain.Loss, $"{tuned.Loss} after {plain.Loss}");
            Assert.Equal(tuned, Scored() with { Words = tuned.Words });
            Assert.Equal(Trained(task, Template), tuned.Loss, 1e-3);
            task.Tuning = null;
        }
        foreach (var (weight, kept) in model.Model.Weights.Zip(before))
            Assert.True(weight.Value.detach().allclose(kept, 0, 0) && !weight.Value.requires_grad, weight.Name);
        Assert.Equal(plain, Scored() with { Words = plain.Words });
    }

    // Three steps of Adam by its formula, on all rows, with the gradient clipped to 1 and a rate that falls as a cosine.
    private static double Trained(SearchTask task, string template)
    {
        using var other = PromptModels.Open("bert-mlm");
        var weights = other.Model.Weights.ToList();
        foreach (var weight in weights) weight.Trainable = true;
        var numbers = tensor(task.Labels.Select(label => (long)other.Tokenizer.EncodePlain(label)[0]).ToArray());
        Tensor Logits(IReadOnlyList<Row> rows)
        {
            var laid = task.Asked(template, rows);
            using var batch = other.Model.Lay(laid);
            long[] places = [.. laid.Select((row, r) => (long)batch.Offsets[r] + row.Answers![0])];
            return other.Model.Unembed(other.Model.Hidden(batch).index_select(0, tensor(places)));
        }
        Tensor Labels(IReadOnlyList<Row> rows) => tensor(rows.Select(row => (long)task.NumberOf(row)).ToArray());
        var moments = weights.ConvertAll(weight => (First: zeros_like(weight.Value).detach(), Second: zeros_like(weight.Value).detach()));
        for (var step = 1; step <= 3; step++)
        {
            var scores = Logits(task.Train).index_select(1, numbers);
            Fused.Backpropagate(nn.functional.cross_entropy(scores, Labels(task.Train)));
            using var frozen = no_grad();
            var norm = Math.Sqrt(weights.Sum(weight => weight.Value.grad is { } own ? own.square().sum().item<float>() : 0));
            var rate = 1e-2 * 0.5 * (1 + Math.Cos(Math.PI * (step - 1) / 3));
            foreach (var (weight, (first, second)) in weights.Zip(moments))
            {
                if (weight.Value.grad is not { } own) continue;
                var gradient = own / Math.Max(1, norm);
                first.mul_(0.9).add_(gradient * 0.1);
                second.mul_(0.999).add_(gradient.square() * 0.001);
                weight.Value.sub_(
                    first / (1 - Math.Pow(0.9, step)) / ((second / (1 - Math.Pow(0.999, step))).sqrt() + 1e-8) * rate);
                own.zero_();
            }
        }
        using var still = no_grad();
        var shares = Logits(task.Development).log_softmax(-1).index_select(1, numbers);
        return -shares.gather(1, Labels(task.Development).unsqueeze(1)).mean().item<float>();
    }

    [Theory]
    [InlineData(TemplateScore.Logits)]
    [InlineData(TemplateScore.Likelihood)]
    public void A_template_s_token_is_scored_by_mean_logits_or_by_the_mean_likelihood(TemplateScore score)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var writer = ModelFolder.Open(PromptCase.Model("t5-template"));
        int[][] sources = [[5, 6, 7], [8, 9], [10, 4, 3, 12]];
        // Two beams of one token: an answer is a token shorter than its most with start and end.
        var beams = TemplateSearch.Find(
            writer,
            sources,
            0,
            new TemplateSettings(
                2,
                3,
                2,
                [1000, 1001, 1002],
                1003,
                -1,
                [],
                Score: score),
            Stop);
        using var batch = writer.LayPairs(sources, [.. sources.Select(_ => new TokenRow([0], [0f], "plain"))]);
        var logits = writer.Unembed(writer.Hidden(batch)).to(ScalarType.Float64);
        var expected = score == TemplateScore.Logits ? logits.mean([0]).log_softmax(-1) : logits.log_softmax(-1).mean([0]);
        var (values, tokens) = expected.topk(2);
        Assert.Equal(tokens.data<long>().ToArray(), beams.Select(beam => (long)beam.Ids.Single()));
        Assert.All(beams.Zip(values.data<double>().ToArray()), pair => Assert.Equal(pair.Second, pair.First.Score, 1e-5));
    }
}
