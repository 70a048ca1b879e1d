namespace Polymath.Recipes;

/// <summary>Addresses of entries in LLaMA-Factory's <c>dataset_info.json</c>, written <c>FILE#NAME</c>.</summary>
public static class DescribedData
{
    private const string FileName = "dataset_info.json";

    /// <summary>The file and the entry of an address.</summary>
    /// <param name="address">The address.</param>
    /// <returns>Both; null and an empty name when the text is not such an address.</returns>
    public static (string? File, string Name) Split(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        var mark = address.LastIndexOf('#');
        return mark > 0 && address[..mark].EndsWith(FileName, StringComparison.OrdinalIgnoreCase)
            ? (address[..mark], address[(mark + 1)..])
            : (null, "");
    }
}
