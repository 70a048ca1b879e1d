using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Tests.Text;
using Polymath.Tuning;

namespace Polymath.Tests.Cli;

/// <summary>The adapter verbs of the command line.</summary>
[Trait("kind", "invariant")]
public sealed class AdapterToolsTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_layout_an_adapter_was_taught_goes_on_with_what_is_made_of_it()
    {
        var model = TextFixtures.At("models", "llama");
        foreach (var file in Directory.GetFiles(TextFixtures.At("adapters", "lokr")))
            File.Copy(file, folder.Write($"adapter/{Path.GetFileName(file)}", ""), overwrite: true);
        folder.Write("adapter/chat_template.jinja", "{{ messages[0].content }}");
        foreach (var command in new[] { new[] { "merge" }, ["convert", "--r", "64"] })
        {
            var result = CliProgram.Run(
                folder.Path, ["adapter", command[0], model, "--adapter", "adapter", "--output", command[0], .. command[1..]]);
            Assert.True(result.Code == 0, result.All);
            Assert.Equal("{{ messages[0].content }}", File.ReadAllText(folder.At(command[0], "chat_template.jinja")));
            Assert.True(File.Exists(folder.At(command[0], "gate.json")));
        }
    }

    private static readonly string llama = TextFixtures.At("models", "llama"), adapter = TextFixtures.At("adapters", "lora");

    private CliResult Do(params string[] arguments)
    {
        var result = CliProgram.Run(folder.Path, ["adapter", .. arguments]);
        Assert.True(result.Code == 0, result.All);
        return result;
    }

    private string Refused(params string[] arguments)
    {
        var result = CliProgram.Run(folder.Path, ["adapter", .. arguments]);
        Assert.True(result.Code == 2, result.All);
        Assert.False(Directory.Exists(folder.At("out")), "something was written");
        return result.Error;
    }

    [Fact]
    public void An_adapter_is_merged_compared_extracted_and_taken_out_again()
    {
        Do("merge", llama, "--adapter", adapter, "--output", "merged");
        var same = JsonNode.Parse(Do("diff", adapter, "merged", "--model", llama, "--json").Out)!;
        Assert.InRange((double)same["total"]!["cosine"]!, 0.999999, 1.000001);
        Assert.InRange((double)same["total"]!["difference"]!, 0, 1e-5 * (double)same["total"]!["first"]!);
        Assert.Contains("Name it with --model", Refused("diff", adapter, "merged"), StringComparison.Ordinal);

        Do("convert", llama, "--tuned", "merged", "--r", "64", "--output", "extracted");
        var extracted = JsonNode.Parse(Do("diff", adapter, "extracted", "--model", llama, "--json").Out)!;
        Assert.InRange((double)extracted["total"]!["difference"]!, 0, 1e-4 * (double)extracted["total"]!["first"]!);
        Assert.Contains(extracted["settings"]!.AsArray(), item => (string)item!["key"]! == "r");
        Assert.Contains("Name what to convert", Refused("convert", llama, "--r", "4", "--output", "out"), StringComparison.Ordinal);
        Assert.Contains("--gate", Refused("convert", llama, "--tuned", "merged", "--r", "1", "--output", "out"), StringComparison.Ordinal);

        Do("unmerge", "merged", "--adapter", adapter, "--output", "back");
        Do("unmerge", "merged", "--adapter", adapter, "--base", llama, "--output", "held");
        var back = JsonNode.Parse(Do("diff", llama, "back", "--json").Out)!;
        Assert.InRange((double)back["total"]!["difference"]!, 0, 1e-5 * (double)back["total"]!["first"]!);
        var shown = Do("diff", llama, "merged", "--top", "3").Out;
        Assert.Contains("total", shown, StringComparison.Ordinal);
        Assert.Contains("more, of smaller differences: --top 0.", shown, StringComparison.Ordinal);
    }

    [Fact]
    public void A_change_of_whole_stacks_of_experts_is_extracted()
    {
        var model = TextFixtures.At("families", "gpt_oss");
        Do("merge", model, "--adapter", TextFixtures.At("own", "adapters", "lora-stack-gpt-oss"), "--output", "stacks");
        Do("convert", model, "--tuned", "stacks", "--r", "64", "--output", "stacks-extracted");
        Do("merge", model, "--adapter", folder.At("stacks-extracted"), "--output", "stacks-again");
        var changed = JsonNode.Parse(Do("diff", model, "stacks", "--json").Out)!;
        var again = JsonNode.Parse(Do("diff", "stacks", "stacks-again", "--json").Out)!;
        Assert.InRange((double)changed["total"]!["difference"]!, 0.1, 1e4);
        Assert.InRange((double)again["total"]!["difference"]!, 0, 1e-4 * (double)changed["total"]!["difference"]!);
    }

    [Fact]
    public void An_adapter_on_another_model_is_refused_until_it_is_said_that_it_may()
    {
        Do("convert", llama, "--adapter", adapter, "--r", "64", "--output", "made");
        Do("merge", llama, "--adapter", "made", "--output", "merged", "--dtype", "bfloat16", "--gate", "1");
        Assert.Contains(
            "made was made for another model",
            Refused("merge", "merged", "--adapter", "made", "--output", "out"),
            StringComparison.Ordinal);
        Do("merge", "merged", "--adapter", "made", "--output", "twice", "--any-base", "--gate", "1");
    }

    [Fact]
    public void Merged_from_shards_in_16_bits_it_is_what_merging_in_memory_writes_to_the_last_byte()
    {
        using (var model = ModelFolder.Open(llama))
            ModelWriter.Write(model, folder.At("base"), TorchSharp.torch.ScalarType.BFloat16, 1 << 14);
        Assert.True(Directory.GetFiles(folder.At("base"), "*.safetensors").Length > 2);
        Do("merge", "base", "--adapter", adapter, "--output", "merged");
        using (var model = ModelFolder.Open(folder.At("base")))
        {
            using var set = DeltaSet.Load(model, adapter);
            set.Merge();
            ModelWriter.Write(model, folder.At("whole"), TorchSharp.torch.ScalarType.BFloat16, long.MaxValue);
        }
        Assert.Equal(
            File.ReadAllBytes(folder.At("whole", "model.safetensors")), File.ReadAllBytes(folder.At("merged", "model.safetensors")));
        // In 16 bits it is restored up to their rounding.
        Do("unmerge", "merged", "--adapter", adapter, "--base", "base", "--output", "back");
        Assert.InRange((double)JsonNode.Parse(Do("diff", "base", "back", "--json").Out)!["total"]!["cosine"]!, 0.99999, 1.00001);
    }

    [Theory]
    [InlineData("nf4")]
    [InlineData("int8")]
    public void Merged_into_a_rounded_base_it_answers_as_on_the_rounded_base(string precision)
    {
        Do("merge", llama, "--adapter", adapter, "--base", precision, "--output", "merged");
        var gate = JsonNode.Parse(File.ReadAllText(folder.At("merged", "gate.json")))!;
        Assert.True((bool)gate["passed"]!);
        Assert.InRange((double)gate["largest_divergence"]!, 0, 1e-5);
        // It is not what merging into the whole base gives.
        Do("merge", llama, "--adapter", adapter, "--output", "whole");
        Assert.True((double)JsonNode.Parse(Do("diff", "whole", "merged", "--json").Out)!["total"]!["difference"]! > 1e-3);
    }
}
