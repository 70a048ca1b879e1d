using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Tests.Text;
using Polymath.Text;

namespace Polymath.Tests.Cli;

/// <summary>
/// A fresh ChatGLM of a few thousand weights in a folder, with the files that the published one brings and no chat template.
/// </summary>
internal static class TinyGlm
{
    /// <summary>Writes the model.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="third">Whether it is of ChatGLM3's kind, not of the first.</param>
    internal static void Write(string folder, bool third = false)
    {
        var files = TextFixtures.At("tokenizer-files", third ? "glm3" : "glm1_new");
        Directory.CreateDirectory(folder);
        foreach (var file in Directory.GetFiles(files).Where(file => Path.GetFileName(file) != "cases.json"))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        var tokenizer = Tokenizer.Load(folder);
        int Id(string token) => tokenizer.IdOf(token) ?? 0;
        var configuration = third
            ? new JsonObject
            {
                ["num_layers"] = 2, ["padded_vocab_size"] = tokenizer.VocabularySize, ["hidden_size"] = 32,
                ["ffn_hidden_size"] = 48, ["kv_channels"] = 8, ["num_attention_heads"] = 4, ["multi_query_attention"] = true,
                ["multi_query_group_num"] = 2,
                ["add_qkv_bias"] = true, ["seq_length"] = 512, ["eos_token_id"] = 2,
            }
            : new JsonObject
            {
                ["num_layers"] = 2, ["vocab_size"] = tokenizer.VocabularySize, ["hidden_size"] = 32, ["inner_hidden_size"] = 64,
                ["num_attention_heads"] = 4, ["max_sequence_length"] = 512, ["bos_token_id"] = Id("<sop>"),
                ["eos_token_id"] = Id("<eop>"), ["mask_token_id"] = Id("[MASK]"), ["gmask_token_id"] = Id("[gMASK]"),
            };
        configuration["model_type"] = "chatglm";
        // Read back, so that its values are what a file's would be.
        using var model = ModelFolder.New((JsonObject)JsonNode.Parse(configuration.ToJsonString())!, 3);
        ModelFolder.Save(model, folder);
    }
}
