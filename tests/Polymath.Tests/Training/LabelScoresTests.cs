using Polymath.Models;
using Polymath.Models.Families;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Training of heads over labels: the loss, the changed weights, and the saved model.</summary>
[Trait("kind", "invariant")]
public sealed class LabelScoresTests
{
    private static readonly string[] Labels = ["ham", "spam", "egg"];

    private static Llama Toys(int seed = 1)
    {
        using var plain = Toy.Model();
        var configuration = (System.Text.Json.Nodes.JsonObject)plain.Configuration.DeepClone();
        LabelHead.Configure(configuration, LabelTask.Classify, Labels);
        return new Llama(configuration, new FreshWeights(seed));
    }

    private static List<Item> Items(int vocabulary = Toy.Vocabulary) =>
        [.. Enumerable.Range(0, 8).Select(i => new LabelItem([Toy.Row(5 + i % 5, i, vocabulary: vocabulary)], i % 3))];

    private static ToyTraining Training(MethodSpec method, int? microTokens = null) => new(
        method,
        microTokens,
        new LabelScores(),
        Items(),
        Toys(),
        tokens: 54);

    private static float[] Scores(LanguageModel model)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay([.. Items(Math.Min(Toy.Vocabulary, model.Sizes.VocabularySize)).SelectMany(item => item.Rows)]);
        return Samples.Floats(LabelScores.Scores(model, batch));
    }

    [Theory]
    [InlineData("models", "bert-classify")]
    [InlineData("models", "roberta-classify")]
    [InlineData("own/models", "llama-classify")]
    [InlineData("own/models", "t5-classify")]
    public void Loss_and_gradients_are_PyTorchs(string place, string name)
    {
        var folder = TextFixtures.At([.. place.Split('/'), name]);
        using var model = ModelFolder.Open(folder);
        foreach (var weight in model.Weights) weight.Trainable = true;
        using var reference = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));
        using var scope = NewDisposeScope();
        Tensor ids = reference.Map("input_ids").to(ScalarType.Int64),
            mask = reference.Map("attention_mask").to(ScalarType.Int64),
            labels = reference.Map("labels").to(ScalarType.Int64);
        List<Item> items = [.. Enumerable.Range(0, (int)ids.shape[0]).Select(r =>
        {
            int[] row = [.. ids[r].data<long>().ToArray().Zip(mask[r].data<long>().ToArray())
                .Where(pair => pair.Second != 0).Select(pair => (int)pair.First)];
            return new LabelItem([new TokenRow(row, new float[row.Length], "")], (int)labels[r].item<long>());
        })];
        using var batch = model.Lay([.. items.SelectMany(item => item.Rows)]);
        var score = new LabelScores().Evaluate(
            model,
            batch,
            items,
            Objective.CountsOf(items));
        Assert.Equal(items.Count, score.Count);
        Assert.Equal(reference.Map("loss").item<float>(), score.Loss.item<float>() / score.Count, 2e-4);
        Fused.Backpropagate(score.Loss / score.Count);
        var compared = 0;
        foreach (var weight in model.Weights.Where(weight => reference.Entries.ContainsKey("grad." + weight.Name)))
        {
            var theirs = Samples.Floats(reference.Map("grad." + weight.Name).to(ScalarType.Float32));
            Assert.True(
                Samples.Gap(theirs, Samples.Floats(weight.Value.grad!)) <= 2e-4 * Math.Max(1e-3, theirs.Max(Math.Abs)), weight.Name);
            compared++;
        }
        Assert.True(compared > 5, $"{compared} gradients");
        // Accuracy, by the reference's own scores.
        Assert.Equal(
            Enumerable.Range(0, items.Count).Count(r => reference.Map("logits")[r].argmax().item<long>() == ((LabelItem)items[r]).Label),
            score.Metrics!["accuracy"]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(13)]
    public void One_pass_of_eight_rows_is_eight_passes_of_one(int microTokens)
    {
        using ToyTraining whole = Training(new FullMethod()), cut = Training(new FullMethod(), microTokens);
        var (one, many) = (whole.Train(1, 4), cut.Train(1, 4));
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(one[i].Loss, many[i].Loss, 1e-5);
            Assert.Equal(one[i].GradientNorm, many[i].GradientNorm, 1e-4);
        }
        Assert.All(whole.Model.Weights.Zip(cut.Model.Weights), pair => Assert.True(
            Samples.Gap(Samples.Floats(pair.First.Value), Samples.Floats(pair.Second.Value)) is var gap && gap < 2e-5,
            $"{pair.First.Name}: {gap}"));
    }

    [Fact]
    public void The_loss_is_the_mean_over_rows_whatever_their_lengths()
    {
        using var toy = Training(new FullMethod());
        double Alone(Item item)
        {
            using var scope = NewDisposeScope();
            using var batch = toy.Model.Lay(item.Rows);
            var scores = Samples.Floats(LabelScores.Scores(toy.Model, batch));
            return Math.Log(scores.Sum(score => Math.Exp(score))) - scores[((LabelItem)item).Label];
        }
        Assert.Equal(Items().Average(Alone), toy.Train(1, 1)[0].Loss, 1e-5);
    }

    public static TheoryData<string> Methods => ["full", "freeze", "freeze last", "lora", .. Enum.GetNames<DeltaForm>()];

    private static MethodSpec Method(string name) => name switch
    {
        "full" => new FullMethod(),
        "freeze" => new FreezeMethod(),
        "freeze last" => new FreezeMethod(LastLayers: 1),
        "lora" => new LoraMethod(3, 6),
        _ => new DeltaSpec(
            Enum.Parse<DeltaForm>(name),
            Merge: false,
            Settings: Settings(name) is [{ } key, { } value] ? new Dictionary<string, string> { [key] = value } : null),
    };

    // Sizes that a toy has.
    private static string[] Settings(string form) => form switch
    {
        "TrainableTokens" => ["token_indices", "[1, 2, 3]"],
        "Shira" => ["r", "2"],
        "Oft" => ["oft_block_size", "4"],
        "Boft" => ["boft_block_size", "4"],
        "Fourierft" => ["n_frequency", "40"],
        "Bitfit" => ["create_missing", "true"],
        _ => [],
    };

    [Theory]
    [MemberData(nameof(Methods))]
    public void The_head_is_learned_with_every_method_and_saved_with_its_adapter(string name)
    {
        using var toy = Training(Method(name));
        var fresh = Toy.Values(toy.Model.Weights);
        float[] before;
        using (var plain = Toys()) before = Scores(plain);
        var reports = toy.Train(1, 25);
        Assert.True(reports[^1].Loss < reports[0].Loss, $"{reports[0].Loss} {reports[^1].Loss}");
        Assert.Contains(toy.Method.Weights, weight => weight.Name == "score.weight");
        foreach (var weight in toy.Model.Weights.Where(
            weight => toy.Method.Weights.Contains(weight) != (Samples.Gap(fresh[weight.Name], Samples.Floats(weight.Value)) > 0)))
            // Rows of the table for tokens without text do not change; everything else does.
            Assert.Fail(weight.Name);
        if (name == "freeze") Assert.Equal(["score.weight"], toy.Method.Weights.Select(weight => weight.Name));
        toy.Method.Training = false;
        var trained = Scores(toy.Model);
        Assert.True(Samples.Gap(before, trained) > 1e-3);
        using var folder = new ScratchFolder();
        toy.Method.Finish(folder.Path, held: []);
        if (name is "full" or "freeze" or "freeze last") return;
        if (toy.Method.Unmerged)
        {
            using (toy.Method.Aside()) Assert.Equal(before, Scores(toy.Model));
        }
        else Assert.True(Samples.Gap(trained, Scores(toy.Model)) < 2e-5);
        using var again = Toys();
        Assert.Equal(before, Scores(again));
        using var deltas = DeltaSet.Load(again, folder.At("adapter"));
        Assert.Equal(["classifier", "score"], deltas.Configuration.Texts("modules_to_save"));
        Assert.Equal("SEQ_CLS", deltas.Configuration.Text("task_type"));
        Assert.True(Samples.Gap(trained, Scores(again)) < Samples.Ulps(32));
    }

    [Fact]
    public void A_budget_is_the_deltas_alone_and_modules_that_are_saved_besides_stay()
    {
        using var model = Toys();
        using var plain = Toy.Model();
        Assert.Equal(
            DeltaPlan.Configure(plain, new DeltaSpec(DeltaForm.Lora, Budget: "700")).Whole("r", 0),
            DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, Budget: "700")).Whole("r", 0));
        Assert.Equal(["norm", "classifier", "score"], DeltaPlan.Configure(model, new DeltaSpec(
            DeltaForm.Lora, Settings: new Dictionary<string, string> { ["modules_to_save"] = "[\"norm\"]" })).Texts("modules_to_save"));
        Assert.False(DeltaPlan.Configure(plain, new DeltaSpec(DeltaForm.Lora)).Has("modules_to_save"));
    }

    [Fact]
    public void A_fresh_delta_leaves_the_scores_as_they_were()
    {
        using var model = Toys();
        var plain = Scores(model);
        using var method = TrainedMethod.Attach(model, new LoraMethod(4, 16), 3, "x");
        Assert.Equal(plain, Scores(model));
    }

    [Theory]
    [MemberData(nameof(LabelHeadTests.LanguageModels), MemberType = typeof(LabelHeadTests))]
    public void Every_family_learns_with_a_fresh_head_computed_anew_or_kept(string name)
    {
        using var model = ModelFolder.OpenWithHead(TextFixtures.At("models", name), LabelTask.Classify, Labels, seed: 3);
        using var method = TrainedMethod.Attach(model, new LoraMethod(2, 4), 3, "x");
        // Parts that the files lack are learned: the head, and BERT's pooler if it is missing.
        var own = model.Weights.Where(method.Weights.Contains).Select(weight => weight.Name).ToList();
        Assert.Equal(
            model.Weights.Select(weight => weight.Name)
                .Where(weight => LabelHeads.Any(head => weight.StartsWith(head, StringComparison.Ordinal))),
            own);
        Assert.NotEmpty(own);
        Dictionary<string, float[]> Gradients(bool anew)
        {
            model.GradientCheckpointing = anew;
            using var scope = NewDisposeScope();
            var items = Items(Math.Min(Toy.Vocabulary, model.Sizes.VocabularySize));
            using var batch = model.Lay([.. items.SelectMany(item => item.Rows)]);
            Fused.Backpropagate(new LabelScores().Evaluate(
            model,
            batch,
            items,
            Objective.CountsOf(items)).Loss);
            model.GradientCheckpointing = false;
            var gradients = method.Weights.ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value.grad!));
            foreach (var weight in method.Weights) weight.ClearGradient();
            return gradients;
        }
        Dictionary<string, float[]> kept = Gradients(false), fresh = Gradients(true);
        Assert.All(
            kept, pair => Assert.True(Samples.Gap(pair.Value, fresh[pair.Key]) <= 1e-5 * Math.Max(1, pair.Value.Max(Math.Abs)), pair.Key));
        Assert.All(own, weight => Assert.Contains(kept[weight], number => number != 0));
    }

    private static readonly string[] LabelHeads = ["score.", "classifier.", "classifier_head.", "classification_head.", "bert.pooler."];
}
