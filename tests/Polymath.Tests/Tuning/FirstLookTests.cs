using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>
/// Methods that read data before they train: EVA, compared with PEFT's, and masks by Fisher information, against a plain computation.
/// </summary>
[Trait("kind", "parity")]
public sealed class FirstLookTests : IDisposable
{
    private readonly ScratchFolder folder = new();
    private readonly LanguageModel model = ModelFolder.Open(TextFixtures.At("models", "llama"));

    public FirstLookTests()
    {
        foreach (var weight in model.Weights) weight.Trainable = false;
    }

    public void Dispose()
    {
        model.Dispose();
        folder.Dispose();
    }

    private static CorpusItems Source()
    {
        using var data = SafetensorsFile.Open(TextFixtures.At("own", "eva", "data.safetensors"));
        using Tensor ids = data.Map("ids"), labels = data.Map("labels");
        long[] tokens = ids.contiguous().data<long>().ToArray(), learned = labels.contiguous().data<long>().ToArray();
        var width = (int)ids.size(1);
        return new CorpusItems([.. Enumerable.Range(0, (int)ids.size(0)).Select(row => new Item([new TokenRow(
            [.. tokens.Skip(row * width).Take(width).Select(id => (int)id)],
            [.. learned.Skip(row * width).Take(width).Select(label => label < 0 ? 0f : 1f)],
            "")]))], 1, "look");
    }

    private DeltaSet Looked(string settings)
    {
        var set = DeltaSet.Fresh(model, AdapterConfiguration.Of(JsonNode.Parse(settings)!.AsObject(), "the test"), 1);
        Assert.True(set.Course!.Looks);
        var source = Source();
        set.Course.Look(FirstLook.Losses(model, new NextToken(), source, TestContext.Current.CancellationToken));
        Assert.Equal(default, source.Cursor);
        Assert.Null(model.Router);
        set.Save(folder.Path);
        return set;
    }

    [Fact]
    public void EVA_deals_out_the_ranks_and_starts_from_the_directions_that_PEFT_does()
    {
        using (Looked(
            """
            {
              "peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj","v_proj","o_proj","down_proj"],
              "init_lora_weights":"eva","eva_config":{"rho":2.0}
            }
            """))
        {
        }
        using SafetensorsFile ours = SafetensorsFile.Open(folder.At("adapter_model.safetensors")),
            peft = SafetensorsFile.Open(TextFixtures.At("own", "eva", "adapter_model.safetensors"));
        Assert.Equal(peft.Entries.Keys.Order(StringComparer.Ordinal), ours.Entries.Keys.Order(StringComparer.Ordinal));
        foreach (var name in peft.Entries.Keys)
        {
            using var scope = NewDisposeScope();
            Tensor one = ours.Map(name).clone(), other = peft.Map(name).clone();
            Assert.Equal(other.shape, one.shape);
            // PEFT's directions are approximate (a random projection), and a sign says nothing.
            if (name.EndsWith("lora_A.weight", StringComparison.Ordinal))
                Assert.All(Samples.Floats((one * other).sum(1)), cosine => Assert.InRange(Math.Abs(cosine), 0.99, 1.0001));
            else Assert.All(Samples.Floats(one), x => Assert.Equal(0, x));
        }
        JsonNode ourSettings = JsonNode.Parse(File.ReadAllText(folder.At("adapter_config.json")))!,
            theirs = JsonNode.Parse(File.ReadAllText(TextFixtures.At("own", "eva", "adapter_config.json")))!;
        foreach (var key in new[] { "rank_pattern", "alpha_pattern" })
            Assert.Equal(
                theirs[key]!.AsObject()
                    .Select(pair => (pair.Key, double.Parse(pair.Value!.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture)))
                    .Order(),
                ourSettings[key]!.AsObject()
                    .Select(pair => (pair.Key, double.Parse(pair.Value!.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture)))
                    .Order());
        using var again = DeltaSet.Load(model, folder.Path);
        Assert.Null(again.Course);
        Assert.Equal(48, again.Plugged.Select(pair => pair.Delta).Cast<Polymath.Tuning.Deltas.Lora>().Sum(delta => delta.A.Shape[0]));
    }

    [Fact]
    public void EVA_without_data_or_with_more_ranks_than_directions_says_so()
    {
        const string Settings =
            """{"peft_type":"LORA","target_modules":["q_proj"],"init_lora_weights":"eva","eva_config":{"rows":1,"SETTING":1},"r":RANK}""";
        using (var set = DeltaSet.Fresh(model, AdapterConfiguration.Of(
            JsonNode.Parse(Settings.Replace("\"SETTING\":1", "\"rho\":1", StringComparison.Ordinal)
                .Replace("RANK", "4", StringComparison.Ordinal))!.AsObject(),
            "x"), 1))
            Assert.Contains("has seen none", Assert.Throws<InputException>(() => set.Save(folder.Path)).Message);
        Assert.Contains(
            "the ranks need 60",
            Assert.Throws<InputException>(() => Looked(Settings.Replace("\"SETTING\":1", "\"rho\":1", StringComparison.Ordinal)
                .Replace("RANK", "20", StringComparison.Ordinal)).Dispose()).Message);
        Assert.Contains(
            "rhoo is not known; known are rho",
            Assert.Throws<InputException>(
                () => Looked(Settings.Replace("SETTING", "rhoo", StringComparison.Ordinal).Replace("RANK", "4", StringComparison.Ordinal))
                    .Dispose()).Message);
    }

    // The mean over rows of the squared gradient of the mean loss of a row.
    private Dictionary<string, Tensor> Information(int rows)
    {
        var maps = model.Projections
            .Where(map => map.Name.EndsWith("q_proj", StringComparison.Ordinal) || map.Name.EndsWith("v_proj", StringComparison.Ordinal))
            .ToList();
        foreach (var map in maps) map.Weight.Trainable = true;
        var result = maps.ToDictionary(map => map.Name, map => zeros_like(map.Weight.Value).detach().DetachFromDisposeScope());
        foreach (var loss in FirstLook.Losses(model, new NextToken(), Source(), TestContext.Current.CancellationToken).Take(rows))
        {
            Fused.Backpropagate(loss);
            foreach (var map in maps)
            {
                using var gradient = map.Weight.Value.grad!;
                result[map.Name].add_(gradient.square());
                map.Weight.ClearGradient();
            }
        }
        foreach (var map in maps) map.Weight.Trainable = false;
        return result;
    }

    [Fact]
    public void The_elements_of_the_greatest_Fisher_information_are_chosen_over_all_maps_at_once()
    {
        using var scope = NewDisposeScope();
        var information = Information(5);
        using (Looked(
            """{"peft_type":"POLYMATH_SPARSE","elements":40,"choose":"fisher","fisher_rows":5,"target_modules":["q_proj","v_proj"]}"""))
        {
        }
        var least = cat([.. information.Values.Select(x => x.flatten())]).topk(240).values.min().item<float>();
        using var file = SafetensorsFile.Open(folder.At("adapter_model.safetensors"));
        foreach (var (name, values) in information)
        {
            Tensor rows = file.Map($"base_model.model.{name}.sparse_rows").to(ScalarType.Int64),
                columns = file.Map($"base_model.model.{name}.sparse_columns").to(ScalarType.Int64);
            var places = (rows * values.size(1) + columns).data<long>().ToArray();
            Assert.Equal(values.ge(least).flatten().nonzero().view(-1).data<long>().ToArray(), places);
        }
        using var again = DeltaSet.Load(model, folder.Path);
        Assert.Equal(240, again.Weights.Sum(weight => weight.Count));
        Assert.Null(again.Course);
    }

    [Fact]
    public void A_SHiRA_file_with_a_mask_by_Fisher_information_has_the_shapes_that_PEFT_wants()
    {
        using var scope = NewDisposeScope();
        var information = Information(3);
        using (Looked("""{"peft_type":"SHIRA","r":2,"mask_type":"fisher","fisher_rows":3,"target_modules":["q_proj","v_proj"]}"""))
        {
        }
        using SafetensorsFile ours = SafetensorsFile.Open(folder.At("adapter_model.safetensors")),
            peft = SafetensorsFile.Open(TextFixtures.At("own", "adapters", "shira", "adapter_model.safetensors"));
        Assert.Equal(
            peft.Entries.OrderBy(pair => pair.Key, StringComparer.Ordinal)
                .Select(pair => (pair.Key, pair.Value.Kind, string.Join(',', pair.Value.Shape))),
            ours.Entries.OrderBy(pair => pair.Key, StringComparer.Ordinal)
                .Select(pair => (pair.Key, pair.Value.Kind, string.Join(',', pair.Value.Shape))));
        foreach (var (name, values) in information)
        {
            var indices = ours.Map($"base_model.model.{name}.shira_indices").to(ScalarType.Int64);
            var chosen = values[indices[0], indices[1]];
            Assert.Equal(values.flatten().topk((int)chosen.numel()).values.min().item<float>(), chosen.min().item<float>());
        }
        // PEFT's file has only the settings of PEFT's class.
        var written = File.ReadAllText(folder.At("adapter_config.json"));
        Assert.Contains("\"mask_type\": \"fisher\"", written, StringComparison.Ordinal);
        Assert.DoesNotContain("fisher_rows", written, StringComparison.Ordinal);
    }
}
