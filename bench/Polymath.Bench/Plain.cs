using Polymath.Models;
using Polymath.Models.Families;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Polymath.Bench;

/// <summary>
/// The same model in the usual style of PyTorch code, on the same libtorch: rows padded to the longest of the pass, all logits, heads
/// repeated, norms and gates from single operations, scaled-dot-product attention with a mask, TorchSharp's AdamW.
/// </summary>
internal sealed class Plain : IDisposable
{
    private const int Heads = 9, KeyHeads = 3, Width = 64, Layers = 30;
    private readonly Llama weights = new(Workload.Configuration, new FreshWeights(1));
    private readonly Dictionary<string, Tensor> byName;
    private readonly Dictionary<string, (Parameter A, Parameter B)> adapters = [];

    internal Plain()
    {
        byName = weights.Weights.ToDictionary(weight => weight.Name, weight => weight.Value);
        for (var layer = 0; layer < Layers; layer++)
            foreach (var (name, output) in new[] { ("q_proj", Heads * Width), ("v_proj", KeyHeads * Width) })
                adapters[$"model.layers.{layer}.self_attn.{name}"] = (
                    new Parameter(rand(Workload.Rank, 576) / 12 - 1.0 / 24), new Parameter(zeros(output, Workload.Rank)));
    }

    internal IEnumerable<(int Tokens, double Loss)> Train(int steps)
    {
        var parameters = adapters.Values.SelectMany(pair => new[] { pair.A, pair.B }).ToList();
        using var optimizer = optim.AdamW(parameters, 1e-4);
        for (var step = 0; step < steps; step++)
        {
            var rows = Workload.Step(step);
            var count = rows.Sum(row => row.Ids.Length - row.FirstTarget);
            double sum = 0;
            optimizer.zero_grad();
            for (var pass = 0; pass < Workload.PassesOfStep; pass++)
            {
                using var scope = NewDisposeScope();
                var loss = Loss(rows.Skip(pass * Workload.RowsOfPass).Take(Workload.RowsOfPass).ToList()) / count;
                loss.backward();
                sum += loss.item<float>();
            }
            nn.utils.clip_grad_norm_(parameters, 1.0);
            optimizer.step();
            yield return (rows.Sum(row => row.Ids.Length), sum);
        }
    }

    private Tensor Loss(List<(int[] Ids, int FirstTarget)> rows)
    {
        var longest = rows.Max(row => row.Ids.Length);
        long[] ids = new long[rows.Count * longest], labels = new long[rows.Count * longest];
        Array.Fill(labels, -100);
        for (var r = 0; r < rows.Count; r++)
            for (var i = 0; i < rows[r].Ids.Length; i++)
            {
                ids[r * longest + i] = rows[r].Ids[i];
                if (i >= rows[r].FirstTarget && i > 0) labels[r * longest + i - 1] = rows[r].Ids[i];
            }
        var logits = Logits(tensor(ids, [rows.Count, longest]), null);
        return nn.functional.cross_entropy(
            logits.view(-1, Workload.Vocabulary), tensor(labels), ignore_index: -100, reduction: nn.Reduction.Sum);
    }

    internal int Generate(int tokens)
    {
        using var frozen = no_grad();
        var prompt = Workload.Step(0)[1].Ids;
        var cache = new (Tensor Key, Tensor Value)[Layers];
        var next = tensor(Array.ConvertAll(prompt, id => (long)id), [1, prompt.Length]);
        var made = 0;
        for (; made < tokens; made++)
        {
            // Everything except the cache and the token is freed at once, as with Python's reference counts.
            using var scope = NewDisposeScope();
            var (kept, older) = (next, cache.ToArray());
            var logits = Logits(next, cache);
            next = logits.select(1, logits.shape[1] - 1).argmax(-1, keepdim: true).MoveToOuterDisposeScope();
            kept.Dispose();
            foreach (var (key, value) in cache)
            {
                key.DetachFromDisposeScope();
                value.DetachFromDisposeScope();
            }
            foreach (var (key, value) in older.Where(pair => pair.Key is not null))
            {
                key.Dispose();
                value.Dispose();
            }
        }
        foreach (var (key, value) in cache)
        {
            key.Dispose();
            value.Dispose();
        }
        return made;
    }

    private Tensor Logits(Tensor ids, (Tensor Key, Tensor Value)[]? cache)
    {
        var past = cache?[0].Key is { } kept ? kept.shape[2] : 0;
        var x = byName["model.embed_tokens.weight"].index_select(0, ids.view(-1)).view(ids.shape[0], ids.shape[1], -1);
        var length = ids.shape[1];
        var angles =
            arange(past, past + length).to(float32).unsqueeze(1) * pow(10000.0, arange(0, Width, 2).to(float32) / -Width).unsqueeze(0);
        angles = cat([angles, angles], -1);
        Tensor cosine = angles.cos(), sine = angles.sin();
        for (var layer = 0; layer < Layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var y = Norm(x, prefix + "input_layernorm.weight");
            Tensor query = Split(Map(y, prefix + "self_attn.q_proj"), Heads),
                key = Split(Map(y, prefix + "self_attn.k_proj"), KeyHeads),
                value = Split(Map(y, prefix + "self_attn.v_proj"), KeyHeads);
            (query, key) = (Rotate(query, cosine, sine), Rotate(key, cosine, sine));
            if (cache is not null)
            {
                if (past > 0) (key, value) = (cat([cache[layer].Key, key], 2), cat([cache[layer].Value, value], 2));
                cache[layer] = (key, value);
            }
            var mixed = nn.functional.scaled_dot_product_attention(
                query, key.repeat_interleave(Heads / KeyHeads, 1), value.repeat_interleave(Heads / KeyHeads, 1), is_casual: length > 1);
            x = x + Map(mixed.transpose(1, 2).reshape(x.shape[0], length, Heads * Width), prefix + "self_attn.o_proj");
            y = Norm(x, prefix + "post_attention_layernorm.weight");
            x = x + Map(nn.functional.silu(Map(y, prefix + "mlp.gate_proj")) * Map(y, prefix + "mlp.up_proj"), prefix + "mlp.down_proj");
        }
        return nn.functional.linear(Norm(x, "model.norm.weight"), byName["model.embed_tokens.weight"]);
    }

    private Tensor Norm(Tensor x, string name) => byName[name] * (x * (x.pow(2).mean([-1], keepdim: true) + 1e-5).rsqrt());

    private Tensor Map(Tensor x, string name)
    {
        var y = nn.functional.linear(x, byName[name + ".weight"]);
        return adapters.TryGetValue(name, out var pair) ? y + nn.functional.linear(nn.functional.linear(x, pair.A), pair.B) * 4 : y;
    }

    private static Tensor Split(Tensor x, int heads) => x.view(x.shape[0], x.shape[1], heads, Width).transpose(1, 2);

    private static Tensor Rotate(Tensor x, Tensor cosine, Tensor sine)
    {
        var halves = x.chunk(2, -1);
        return x * cosine + cat([-halves[1], halves[0]], -1) * sine;
    }

    public void Dispose() => weights.Dispose();
}
